//! Adds time limits and an instance to connect strings.
//!
//! Oracle Client waits without limit for a listener that accepts and does not answer, unless CONNECT_TIMEOUT is set; and it
//! notices a peer that vanished only through EXPIRE_TIME. Easy Connect Plus and a full descriptor can hold both. A limit that
//! the DBA has set stays. A TNS alias cannot be extended: there the thread that connects is abandoned.

use std::fmt;

/// The connect string with both limits in it, if its form can hold them.
///
/// `connect_timeout` is in seconds, `expire_time` in minutes.
pub(super) fn with_limits(connect: &str, connect_timeout: u64, expire_time: u64) -> String {
    let connect = connect.trim();
    let limits = [("CONNECT_TIMEOUT", connect_timeout), ("EXPIRE_TIME", expire_time)];
    if connect.starts_with('(') {
        descriptor(connect, &limits)
    } else if is_easy_connect(connect) {
        easy_connect(connect, &limits)
    } else {
        connect.to_owned()
    }
}

/// Why a connect string cannot be extended to name one instance of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OneForAll {
    /// It is a name in tnsnames.ora or in a directory.
    Alias,
    /// It names no service that the instances have in common: nothing at all, or a SID.
    NoService,
    /// It names one instance already.
    OneInstance,
}

impl fmt::Display for OneForAll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (why, remedy) = match self {
            OneForAll::Alias => (
                "is an alias",
                "write the address out, as //host:port/service or as a descriptor",
            ),
            OneForAll::NoService => ("names no service", "name a service that all instances offer"),
            OneForAll::OneInstance => ("names one instance", "name the service alone"),
        };
        write!(f, "`connect` {why} and cannot ask for an instance: {remedy}")
    }
}

/// The connect string for one instance of the database.
///
/// # Errors
/// Why it cannot name an instance. Easy Connect is `[protocol:][//]host[:port][,...][/service[:server][/instance]][?parameters]`
/// (Oracle Database Net Services Administrator's Guide, "Understanding Easy Connect Plus").
pub(super) fn on_instance(connect: &str, instance: &str) -> Result<String, OneForAll> {
    let connect = connect.trim();
    if connect.starts_with('(') {
        return descriptor_on_instance(connect, instance);
    }
    if !is_easy_connect(connect) {
        return Err(OneForAll::Alias);
    }
    let (address, parameters) = match connect.split_once('?') {
        Some((address, parameters)) => (address, Some(parameters)),
        None => (connect, None),
    };
    let hosts = match address.split_once("://") {
        Some((protocol, rest)) if ["tcp", "tcps"].iter().any(|known| protocol.eq_ignore_ascii_case(known)) => rest,
        // ldap: and similar protocols look a name up.
        Some(_) => return Err(OneForAll::Alias),
        None => address.trim_start_matches('/'),
    };
    let service = hosts.split_once('/').map_or("", |(_, service)| service);
    let narrowed = match service.split_once('/') {
        None if service.is_empty() || service.starts_with(':') => return Err(OneForAll::NoService),
        None => format!("{address}/{instance}"),
        Some((_, named)) if named.eq_ignore_ascii_case(instance) => address.to_owned(),
        Some(_) => return Err(OneForAll::OneInstance),
    };
    Ok(match parameters {
        Some(parameters) => format!("{narrowed}?{parameters}"),
        None => narrowed,
    })
}

fn descriptor_on_instance(connect: &str, instance: &str) -> Result<String, OneForAll> {
    let mut narrowed = String::with_capacity(connect.len() + 64);
    let mut copied = 0;
    let places = values_of(connect, "CONNECT_DATA");
    if places.is_empty() {
        return Err(OneForAll::NoService);
    }
    for (begin, inside) in places {
        let named = values_of(inside, "INSTANCE_NAME")
            .first()
            .map(|(_, named)| named.trim());
        narrowed.push_str(&connect[copied..begin]);
        match named {
            Some(named) if named.eq_ignore_ascii_case(instance) => {}
            Some(_) => return Err(OneForAll::OneInstance),
            None if !nodes(inside).any(|node| node.eq_ignore_ascii_case("SERVICE_NAME")) => {
                return Err(OneForAll::NoService);
            }
            None => narrowed.push_str(&format!("(INSTANCE_NAME={instance})")),
        }
        copied = begin;
    }
    narrowed.push_str(&connect[copied..]);
    Ok(narrowed)
}

/// The folder of the wallet that a connect string names: `?wallet_location=` of Easy Connect, MY_WALLET_DIRECTORY or WALLET_LOCATION
/// of a descriptor. `SYSTEM` stands for the certificates of the host, which are no wallet.
pub(super) fn wallet(connect: &str) -> Option<String> {
    let connect = connect.trim();
    let named = if connect.starts_with('(') {
        let of = |name| values_of(connect, name).first().map(|(_, value)| *value);
        of("MY_WALLET_DIRECTORY").or_else(|| of("WALLET_LOCATION"))
    } else {
        let parameters = connect.split_once('?').map_or("", |(_, parameters)| parameters);
        parameters.split('&').find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.trim().eq_ignore_ascii_case("wallet_location").then_some(value)
        })
    };
    let folder = named?.trim().trim_matches('"');
    (!folder.is_empty() && !folder.eq_ignore_ascii_case("SYSTEM") && !folder.contains('(')).then(|| folder.to_owned())
}

/// The connect string as messages show it: on one line, shortened, and without parameters, which say how to connect, not
/// where.
pub(super) fn address(connect: &str) -> String {
    const SHOWN: usize = 160;
    let connect = connect.trim();
    let place = if is_easy_connect(connect) && !connect.starts_with('(') {
        connect.split_once('?').map_or(connect, |(place, _)| place).to_owned()
    } else {
        connect.split_whitespace().collect()
    };
    match place.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &place[..end]),
        None => place,
    }
}

/// Whole seconds, rounded up: CONNECT_TIMEOUT takes no fractions, and 0 would mean no limit.
pub(super) fn whole_seconds(limit: std::time::Duration) -> u64 {
    limit
        .as_secs()
        .saturating_add(u64::from(limit.subsec_nanos() > 0))
        .max(1)
}

/// Whether it names a host; otherwise it is an alias in tnsnames.ora.
fn is_easy_connect(connect: &str) -> bool {
    connect.contains(['/', ':'])
}

fn easy_connect(connect: &str, limits: &[(&str, u64)]) -> String {
    let parameters = connect.split_once('?').map_or("", |(_, after)| after);
    let mut extended = connect.to_owned();
    let mut separator = if connect.contains('?') { "&" } else { "?" };
    if connect.ends_with(['?', '&']) {
        separator = "";
    }
    for (name, value) in limits {
        let set = parameters.split('&').any(|parameter| {
            parameter
                .split('=')
                .next()
                .is_some_and(|given| given.trim().eq_ignore_ascii_case(name))
        });
        if !set {
            extended.push_str(&format!("{separator}{}={value}", name.to_ascii_lowercase()));
            separator = "&";
        }
    }
    extended
}

/// Adds the limits that it does not have to each DESCRIPTION of a descriptor, which may be a list of them.
fn descriptor(connect: &str, limits: &[(&str, u64)]) -> String {
    let mut extended = String::with_capacity(connect.len() + 64);
    let mut copied = 0;
    for (begin, inside) in descriptions(connect) {
        extended.push_str(&connect[copied..begin]);
        for (name, value) in limits {
            if !nodes(inside).any(|node| node.eq_ignore_ascii_case(name)) {
                extended.push_str(&format!("({name}={value})"));
            }
        }
        copied = begin;
    }
    extended.push_str(&connect[copied..]);
    extended
}

/// The value of each DESCRIPTION, with the place where it begins.
fn descriptions(connect: &str) -> Vec<(usize, &str)> {
    values_of(connect, "DESCRIPTION")
}

/// The value of each node of this name, with the place where it begins.
fn values_of<'a>(connect: &'a str, wanted: &str) -> Vec<(usize, &'a str)> {
    connect
        .match_indices('(')
        .filter_map(|(at, _)| {
            let (name, value_at) = name_at(connect, at)?;
            name.eq_ignore_ascii_case(wanted)
                .then(|| (value_at, balanced(&connect[value_at..])))
        })
        .collect()
}

/// The names of the nodes directly inside a value.
fn nodes(value: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_usize;
    value.char_indices().filter_map(move |(at, character)| match character {
        '(' => {
            depth += 1;
            if depth == 1 {
                name_at(value, at).map(|(name, _)| name)
            } else {
                None
            }
        }
        ')' => {
            depth = depth.saturating_sub(1);
            None
        }
        _ => None,
    })
}

/// The name after the parenthesis at `open`, and the place where the value after its `=` begins.
fn name_at(text: &str, open: usize) -> Option<(&str, usize)> {
    let rest = &text[open + 1..];
    let equals = rest.find('=')?;
    let name = rest[..equals].trim();
    if name.contains(['(', ')']) {
        return None;
    }
    Some((name, open + 1 + equals + 1))
}

/// The text up to the parenthesis that closes the node around it.
fn balanced(text: &str) -> &str {
    let mut depth = 0_usize;
    for (at, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' if depth == 0 => return &text[..at],
            ')' => depth -= 1,
            _ => {}
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_connect_string_is_narrowed_to_one_instance_where_its_form_allows() {
        let service = "(DESCRIPTION=(ADDRESS=(PROTOCOL=TCP)(HOST=db1)(PORT=1521))(CONNECT_DATA=(SERVICE_NAME=shop)))";
        let narrowed = "(DESCRIPTION=(ADDRESS=(PROTOCOL=TCP)(HOST=db1)(PORT=1521))(CONNECT_DATA=(INSTANCE_NAME=shop2)(SERVICE_NAME=shop)))";
        let cases = [
            ("//db1:1521/shop", Ok("//db1:1521/shop/shop2")),
            (
                "db1/shop:dedicated?connect_timeout=2",
                Ok("db1/shop:dedicated/shop2?connect_timeout=2"),
            ),
            (
                "tcps://db1:2484/shop?wallet_location=/etc/w",
                Ok("tcps://db1:2484/shop/shop2?wallet_location=/etc/w"),
            ),
            ("TCP://db1,db2:1521/shop", Ok("TCP://db1,db2:1521/shop/shop2")),
            ("tcps://[::1]:2484/shop", Ok("tcps://[::1]:2484/shop/shop2")),
            ("//db1:1521/shop/SHOP2", Ok("//db1:1521/shop/SHOP2")),
            ("//db1:1521/shop/shop1", Err(OneForAll::OneInstance)),
            ("db1:1521", Err(OneForAll::NoService)),
            ("tcps://db1:2484", Err(OneForAll::NoService)),
            ("SHOP", Err(OneForAll::Alias)),
            ("ldap://directory/cn=shop", Err(OneForAll::Alias)),
            (service, Ok(narrowed)),
            (narrowed, Ok(narrowed)),
            (
                "(DESCRIPTION=(ADDRESS=(HOST=db1))(CONNECT_DATA=(SID=shop1)))",
                Err(OneForAll::NoService),
            ),
            (
                "(DESCRIPTION=(ADDRESS=(HOST=db1))(CONNECT_DATA=(SERVICE_NAME=shop)(INSTANCE_NAME=shop1)))",
                Err(OneForAll::OneInstance),
            ),
        ];
        for (connect, expected) in cases {
            assert_eq!(on_instance(connect, "shop2"), expected.map(str::to_owned), "{connect}");
        }
    }

    #[test]
    fn a_wallet_is_found_in_each_form() {
        let descriptor = |security: &str| format!("(DESCRIPTION=(ADDRESS=(HOST=a)){security}(CONNECT_DATA=(SID=x)))");
        let cases = [
            (
                "tcps://db1:2484/shop?wallet_location=/etc/w&retry_count=1".to_owned(),
                Some("/etc/w"),
            ),
            (
                "tcps://db1/shop?retry_count=1&Wallet_Location = \"/etc/w\"".to_owned(),
                Some("/etc/w"),
            ),
            ("tcps://db1/shop?wallet_location=system".to_owned(), None),
            ("tcps://db1/shop?wallet_location=".to_owned(), None),
            ("tcps://db1/shop".to_owned(), None),
            ("SHOP".to_owned(), None),
            (descriptor("(SECURITY=(MY_WALLET_DIRECTORY=/etc/w))"), Some("/etc/w")),
            (descriptor("(security=(wallet_location = /etc/w))"), Some("/etc/w")),
            (descriptor("(SECURITY=(SSL_SERVER_DN_MATCH=ON))"), None),
        ];
        for (connect, folder) in cases {
            assert_eq!(wallet(&connect).as_deref(), folder, "{connect}");
        }
    }

    #[test]
    fn limits_go_where_the_form_has_room_for_them_and_never_over_the_dbas_own() {
        let cases = [
            ("//db1:1521/orcl", "//db1:1521/orcl?connect_timeout=10&expire_time=2"),
            ("db1/orcl", "db1/orcl?connect_timeout=10&expire_time=2"),
            (
                "tcps://db1:2484/orcl?wallet_location=/etc/w",
                "tcps://db1:2484/orcl?wallet_location=/etc/w&connect_timeout=10&expire_time=2",
            ),
            ("db1/orcl?Connect_Timeout=3", "db1/orcl?Connect_Timeout=3&expire_time=2"),
            (
                "db1/orcl?transport_connect_timeout=3&expire_time=9",
                "db1/orcl?transport_connect_timeout=3&expire_time=9&connect_timeout=10",
            ),
            ("db1/orcl?", "db1/orcl?connect_timeout=10&expire_time=2"),
            ("PROD", "PROD"),
            ("prod.world", "prod.world"),
            (
                "(DESCRIPTION=(ADDRESS=(PROTOCOL=tcp)(HOST=db1)(PORT=1521))(CONNECT_DATA=(SERVICE_NAME=orcl)))",
                "(DESCRIPTION=(CONNECT_TIMEOUT=10)(EXPIRE_TIME=2)(ADDRESS=(PROTOCOL=tcp)(HOST=db1)(PORT=1521))\
                 (CONNECT_DATA=(SERVICE_NAME=orcl)))",
            ),
            (
                "( description = (connect_timeout=5)(ADDRESS=(HOST=a)))",
                "( description =(EXPIRE_TIME=2) (connect_timeout=5)(ADDRESS=(HOST=a)))",
            ),
            // The name inside another node is not the description's own.
            (
                "(DESCRIPTION=(ADDRESS=(CONNECT_TIMEOUT=5)(HOST=a))(EXPIRE_TIME=1))",
                "(DESCRIPTION=(CONNECT_TIMEOUT=10)(ADDRESS=(CONNECT_TIMEOUT=5)(HOST=a))(EXPIRE_TIME=1))",
            ),
            (
                "(DESCRIPTION_LIST=(DESCRIPTION=(ADDRESS=(HOST=a)))(DESCRIPTION=(EXPIRE_TIME=1)(ADDRESS=(HOST=b))))",
                "(DESCRIPTION_LIST=(DESCRIPTION=(CONNECT_TIMEOUT=10)(EXPIRE_TIME=2)(ADDRESS=(HOST=a)))\
                 (DESCRIPTION=(CONNECT_TIMEOUT=10)(EXPIRE_TIME=1)(ADDRESS=(HOST=b))))",
            ),
            ("(DESCRIPTION=", "(DESCRIPTION=(CONNECT_TIMEOUT=10)(EXPIRE_TIME=2)"),
        ];
        for (given, expected) in cases {
            assert_eq!(with_limits(given, 10, 2), expected, "{given}");
        }
    }

    #[test]
    fn a_limit_is_rounded_up_and_never_to_none() {
        for (limit, seconds) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (2500, 3)] {
            assert_eq!(whole_seconds(Duration::from_millis(limit)), seconds);
        }
    }

    #[test]
    fn a_message_shows_where_and_not_how() {
        let cases = [
            (
                "//db1:1521/PROD?connect_timeout=5&wallet_location=/w",
                "//db1:1521/PROD",
            ),
            ("tcps://db1/PROD", "tcps://db1/PROD"),
            (" crm_alias ", "crm_alias"),
            (
                "(DESCRIPTION =\n  (ADDRESS = (HOST=db1)))",
                "(DESCRIPTION=(ADDRESS=(HOST=db1)))",
            ),
        ];
        for (connect, shown) in cases {
            assert_eq!(address(connect), shown, "{connect}");
        }
        assert_eq!(address(&"x".repeat(4000)).chars().count(), 161);
    }
}
