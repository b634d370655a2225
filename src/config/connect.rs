//! Checks the form of a connect string.
//!
//! Oracle Client and the thin driver look up what they cannot parse as an alias in tnsnames.ora, so that a mistyped port ends in
//! a message about a file that has nothing to do with it. Only what is wrong in each form is refused: an alias may have nearly
//! any name, and the forms of other naming methods (`ldap://`, `config-azure://`) are not known here.
//!
//! Source: Oracle Database Net Services Administrator's Guide, "Understanding Easy Connect Plus": `[[protocol:]//]host1{,host2}
//! [:port1]{,host2:port2}[/[service_name][:server_type][/instance_name]][?parameters]`; Net Services Reference, "Syntax Rules for
//! Configuration Files".

use std::ops::Range;

use crate::policy::lex::Mistake;

const CODE: &str = "bad-connect";

/// The protocols of Easy Connect. Others belong to naming methods that look an address up.
const PROTOCOLS: [&str; 7] = ["tcp", "tcps", "ipc", "sdp", "exadirect", "ws", "wss"];

/// Protocols of URLs that no Oracle client knows.
const FOREIGN: [&str; 8] = [
    "oracle",
    "http",
    "oracledb",
    "postgres",
    "postgresql",
    "mysql",
    "odbc",
    "jdbc",
];

const SERVERS: [&str; 4] = ["dedicated", "shared", "pooled", "emon"];

/// What is wrong with the form of a connect string, if something is. Messages quote nothing but host names, ports and names of
/// databases: other parts may hold a secret.
pub(super) fn mistake_in(connect: &str) -> Option<Mistake> {
    if connect.starts_with('(') {
        descriptor(connect)
    } else if let Some(open) = connect.find(['(', ')']) {
        Some(before_a_descriptor(connect, open))
    } else if connect.contains(['/', ':']) {
        easy_connect(connect)
    } else {
        let odd = connect.find(|c: char| c.is_whitespace() || c == '=')?;
        let at = odd..odd + connect[odd..].chars().next().map_or(0, char::len_utf8);
        Some(
            Mistake::new(at, CODE, "`connect` has a character that no alias of tnsnames.ora has")
                .hint("write the alias alone, or `//host:port/service`"),
        )
    }
}

/// Whether it is in Easy Connect form and names no service.
pub(super) fn has_no_service(connect: &str) -> bool {
    if connect.contains('(') || !connect.contains(['/', ':']) {
        return false;
    }
    let (place, _) = connect.split_once('?').unwrap_or((connect, ""));
    let hosts = match place.split_once("://") {
        Some((protocol, hosts)) if is_one_of(&PROTOCOLS, protocol) => hosts,
        Some(_) => return false,
        None => place.strip_prefix("//").unwrap_or(place),
    };
    let service = hosts.split_once('/').map_or("", |(_, service)| service);
    service.is_empty() || service.starts_with([':', '/'])
}

/// The right form for `host:port:SID`, the old form of JDBC.
pub(super) fn of_old_jdbc_form(connect: &str) -> Option<String> {
    let mut parts = connect.split(':');
    let (host, port, sid) = (parts.next()?, parts.next()?, parts.next()?);
    let in_host = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    let in_sid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '$' | '#' | '.' | '-');
    let good = parts.next().is_none()
        && !host.is_empty()
        && host.chars().all(in_host)
        && is_port(port)
        && !sid.is_empty()
        && sid.chars().all(in_sid);
    good.then(|| {
        format!(
            "write `//{host}:{port}/` and the name of the service; if there is only the SID, write \
             `(DESCRIPTION=(ADDRESS=(PROTOCOL=tcp)(HOST={host})(PORT={port}))(CONNECT_DATA=(SID={sid})))`"
        )
    })
}

fn is_one_of(known: &[&str], word: &str) -> bool {
    known.iter().any(|known| known.eq_ignore_ascii_case(word))
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

/// Where a part of a text is in it.
fn at(text: &str, part: &str) -> Range<usize> {
    let start = part.as_ptr().addr() - text.as_ptr().addr();
    start..start + part.len()
}

fn easy_connect(connect: &str) -> Option<Mistake> {
    let place = connect.split_once('?').map_or(connect, |(place, _)| place);
    let hosts = match place.split_once("://") {
        Some((protocol, hosts)) if is_one_of(&PROTOCOLS, protocol) => hosts,
        Some((protocol, _)) if is_one_of(&FOREIGN, protocol) => {
            let message = "`connect` cannot be a URL with this protocol";
            return Some(Mistake::new(at(connect, protocol), CODE, message).hint("write `//host:port/service`"));
        }
        Some(_) => return None,
        None => place.strip_prefix("//").unwrap_or(place),
    };
    if let Some(hint) = of_old_jdbc_form(hosts) {
        let sid = &hosts[hosts.rfind(':').map_or(0, |colon| colon + 1)..];
        let message = "`host:port:SID` is a form of JDBC URLs, which no other Oracle client knows";
        return Some(Mistake::new(at(connect, sid), CODE, message).hint(hint));
    }
    let (hosts, rest) = hosts.split_once('/').map_or((hosts, ""), |(hosts, rest)| (hosts, rest));
    hosts
        .split([',', ';'])
        .find_map(|host| host_and_port(connect, host))
        .or_else(|| service(connect, rest))
}

fn host_and_port(connect: &str, text: &str) -> Option<Mistake> {
    let found = |part: &str, message: &str, hint: &str| Some(Mistake::new(at(connect, part), CODE, message).hint(hint));
    let (host, port) = if let Some(inside) = text.strip_prefix('[') {
        let Some((host, after)) = inside.split_once(']') else {
            return found(
                text,
                "the bracket of this IPv6 address is not closed",
                "write `//[2001:db8::1]:1521/service`",
            );
        };
        match after.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if after.is_empty() => (host, None),
            None => return found(after, "this does not belong after an address", "write `:` and the port"),
        }
    } else if text.matches(':').count() > 1 {
        let is_address = text.parse::<std::net::Ipv6Addr>().is_ok();
        return if is_address {
            found(
                text,
                "an IPv6 address needs brackets",
                "write `//[2001:db8::1]:1521/service`",
            )
        } else {
            found(
                text,
                "this has more than a host and a port",
                "write `//host:port/service`",
            )
        };
    } else {
        text.split_once(':')
            .map_or((text, None), |(host, port)| (host, Some(port)))
    };
    if host.trim().is_empty() {
        let place = if text.is_empty() { connect } else { text };
        return found(place, "the name of a host is missing", "write `//host:port/service`");
    }
    let port = port?;
    if is_port(port) {
        return None;
    }
    let place = if port.is_empty() { text } else { port };
    found(
        place,
        "this is not a port",
        "a port is a number from 1 to 65535; write `//host:port/service`",
    )
}

/// What is wrong with `[service_name][:server_type][/instance_name]`.
fn service(connect: &str, text: &str) -> Option<Mistake> {
    let found = |part: &str, message: &str, hint: &str| Some(Mistake::new(at(connect, part), CODE, message).hint(hint));
    let mut parts = text.split('/');
    let service = parts.next().unwrap_or("");
    let instance = parts.next();
    if let Some(third) = parts.next() {
        return found(
            third,
            "nothing belongs after the name of the instance",
            "write `//host:port/service/instance`",
        );
    }
    let (name, server) = service
        .split_once(':')
        .map_or((service, None), |(name, server)| (name, Some(server)));
    if let Some(server) = server.filter(|server| !is_one_of(&SERVERS, server)) {
        return found(
            if server.is_empty() { service } else { server },
            "after the service there is only the type of the server: `dedicated`, `shared` or `pooled`",
            "the port belongs after the host; write `//host:port/service`",
        );
    }
    let odd = |name: &str| name.contains(|c: char| c.is_whitespace() || matches!(c, '=' | ':' | ',' | ';'));
    let name = [Some(name), instance].into_iter().flatten().find(|name| odd(name))?;
    found(
        name,
        "this is not the name of a service or an instance",
        "write `//host:port/service`",
    )
}

/// A text before a parenthesis: the entry of tnsnames.ora with its alias, a descriptor without its beginning, or a JDBC URL's rest.
fn before_a_descriptor(connect: &str, open: usize) -> Mistake {
    let before = &connect[..open];
    let is_entry = before
        .trim_end()
        .strip_suffix('=')
        .is_some_and(|alias| !alias.trim().is_empty() && !alias.trim().eq_ignore_ascii_case("DESCRIPTION"));
    if is_entry {
        let message = "`connect` is a whole entry of tnsnames.ora";
        return Mistake::new(0..open, CODE, message)
            .hint("write only the descriptor, which begins with `(DESCRIPTION=`, or only the alias");
    }
    Mistake::new(
        0..open,
        CODE,
        "a descriptor begins with `(DESCRIPTION=`, but this comes before the first parenthesis",
    )
    .hint("write `(DESCRIPTION=(ADDRESS=(PROTOCOL=tcp)(HOST=host)(PORT=port))(CONNECT_DATA=(SERVICE_NAME=service)))`")
}

fn descriptor(connect: &str) -> Option<Mistake> {
    let mut open: Vec<usize> = Vec::new();
    let mut quoted = false;
    let mut ended = None;
    for (place, character) in connect.char_indices() {
        if character == '"' {
            quoted = !quoted;
        }
        if quoted {
            continue;
        }
        if let Some(end) = ended
            && !character.is_whitespace()
        {
            return Some(if character == ')' {
                Mistake::new(place..place + 1, CODE, "this closing parenthesis has no opening one")
                    .hint("take it away, or write the opening parenthesis that is missing before it")
            } else {
                Mistake::new(
                    end..connect.len(),
                    CODE,
                    "nothing belongs after the end of a descriptor",
                )
                .hint("several of them go into `(DESCRIPTION_LIST=(DESCRIPTION=...)(DESCRIPTION=...))`")
            });
        }
        match character {
            '(' => open.push(place),
            ')' => {
                let begin = open.pop()?;
                if let Some(mistake) = node(connect, begin, place) {
                    return Some(mistake);
                }
                if open.is_empty() {
                    ended = Some(place + 1);
                }
            }
            _ => {}
        }
    }
    if quoted {
        let place = connect.rfind('"')?;
        return Some(
            Mistake::new(place..connect.len(), CODE, "this quote of the descriptor is not closed")
                .hint("write the second quote"),
        );
    }
    let innermost = *open.last()?;
    let missing = open.len();
    let name_ends = connect[innermost..]
        .find('=')
        .map_or(connect.len(), |end| innermost + end);
    let plural = if missing == 1 {
        "parenthesis is"
    } else {
        "parentheses are"
    };
    Some(
        Mistake::new(
            innermost..name_ends,
            CODE,
            format!("the descriptor is not complete: {missing} closing {plural} missing, the first one for this"),
        )
        .hint(
            "write `(DESCRIPTION=(ADDRESS=(PROTOCOL=tcp)(HOST=host)(PORT=port))(CONNECT_DATA=(SERVICE_NAME=service)))`",
        ),
    )
}

/// What is wrong with one node of a descriptor, given the places of its parentheses.
fn node(connect: &str, open: usize, close: usize) -> Option<Mistake> {
    let inside = &connect[open + 1..close];
    let Some((name, value)) = inside.split_once('=').filter(|(name, _)| !name.contains('(')) else {
        return Some(
            Mistake::new(open..close + 1, CODE, "a part of the descriptor has no `=`")
                .hint("each part is `(NAME=value)`, such as `(HOST=db1.example.com)`"),
        );
    };
    let (name, value) = (name.trim(), value.trim());
    if open == 0 && !is_one_of(&["DESCRIPTION", "DESCRIPTION_LIST"], name) {
        let message = "the outermost part of a descriptor is DESCRIPTION or DESCRIPTION_LIST";
        return Some(Mistake::new(at(connect, name), CODE, message).hint(
            "write `(DESCRIPTION=(ADDRESS=(PROTOCOL=tcp)(HOST=host)(PORT=port))(CONNECT_DATA=(SERVICE_NAME=service)))`",
        ));
    }
    if name.eq_ignore_ascii_case("PORT") && !is_port(value.trim_matches('"')) {
        let place = if value.is_empty() {
            &connect[open..=close]
        } else {
            value
        };
        return Some(
            Mistake::new(at(connect, place), CODE, "this is not a port").hint("a port is a number from 1 to 65535"),
        );
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_that_a_client_knows_is_taken() {
        let good = [
            "PROD",
            "prod.world",
            "crm_tns-alias",
            "db1/PROD",
            "db1:1521",
            "//db1",
            "//db1:1521/PROD",
            "db1:1521/PROD:dedicated/prod1",
            "db1/:POOLED",
            "db1:1521/PROD/prod1?connect_timeout=3&wallet_location=/etc/w:1",
            "tcps://db1,db2:2484;db3:1521/PROD",
            "tcps://[2001:db8::1]:2484/PROD",
            "[::1]/PROD",
            "TCP://10.0.0.1:65535/prod.example.com?https_proxy=p&https_proxy_port=99999",
            "ldap://directory:x:y/cn=shop",
            "config-azure://name?key=x:y",
            "(DESCRIPTION=(ADDRESS=(PROTOCOL=TCP)(HOST=db1)(PORT=1521))(CONNECT_DATA=(SERVICE_NAME=shop)))",
            "( description = (address=(protocol=tcp)(host=a)(port = 1))(connect_data=(sid=x)) )",
            "(DESCRIPTION_LIST=(DESCRIPTION=(ADDRESS=(HOST=::1)(PORT=1600)))(DESCRIPTION=(ADDRESS=(HOST=b))))",
            "(DESCRIPTION=(ADDRESS=(PROTOCOL=tcps)(HOST=a)(PORT=1))(SECURITY=(SSL_SERVER_CERT_DN=\"CN=a(b,O=c\")))",
            "(DESCRIPTION=(SECURITY=(SSL_SERVER_CERT_DN=CN=a,O=c))(ADDRESS=(HOST=a)))",
        ];
        for connect in good {
            assert_eq!(mistake_in(connect).map(|mistake| mistake.message), None, "{connect}");
        }
    }

    #[test]
    fn a_mistake_is_marked_where_it_is() {
        let cases = [
            ("db1:1521:PROD", "PROD"),
            ("//db1.example.com:1521:PROD", "PROD"),
            ("db1:PROD", "PROD"),
            ("//db1:15x21/PROD", "15x21"),
            ("//db1:65536/PROD", "65536"),
            ("//db1:0/PROD", "0"),
            ("//db1:+1521/PROD", "+1521"),
            ("//db1:/PROD", "db1:"),
            ("//db1,db2:99999/PROD", "99999"),
            ("tcps://[::1]:x/PROD", "x"),
            ("tcps://[::1/PROD", "[::1"),
            ("2001:db8::1/PROD", "2001:db8::1"),
            ("db1:1521:PROD/x", "db1:1521:PROD"),
            ("//:1521/PROD", ":1521"),
            ("///PROD", "///PROD"),
            ("db1/PROD:1521", "1521"),
            ("db1/PROD/prod1/x", "x"),
            ("db1/PROD, db2/PROD", "PROD, db2"),
            ("oracle://db1:1521/PROD", "oracle"),
            ("my alias", " "),
            ("PROD=", "="),
            ("PROD = (DESCRIPTION=(ADDRESS=(HOST=a)))", "PROD = "),
            ("DESCRIPTION=(ADDRESS=(HOST=a))", "DESCRIPTION="),
            ("(DESCRIPTION=", "(DESCRIPTION"),
            ("(DESCRIPTION=(ADDRESS=(HOST=a)(PORT=1521)", "(ADDRESS"),
            ("(DESCRIPTION=(ADDRESS=(HOST=a))))", ")"),
            ("(DESCRIPTION=(ADDRESS=(HOST=a))) x", " x"),
            ("(DESCRIPTION=(ADDRESS=(HOST=a)(PORT=70000)))", "70000"),
            ("(DESCRIPTION=(ADDRESS=(HOST=a)(PORT=)))", "(PORT=)"),
            ("(DESCRIPTION=(ADDRESS=(HOST=a)(PORT=ncube)))", "ncube"),
            ("(DESCRIPTION=(ADDRESS=(HOST)))", "(HOST)"),
            ("(ADDRESS=(HOST=a)(PORT=1521))", "ADDRESS"),
            ("(DESCRIPTION=(SECURITY=(SSL_SERVER_CERT_DN=\"CN=a)))", "\"CN=a)))"),
        ];
        for (connect, marked) in cases {
            let mistake = mistake_in(connect).unwrap_or_else(|| panic!("{connect} is taken"));
            assert_eq!(&connect[mistake.at.clone()], marked, "{connect}: {}", mistake.message);
            assert!(mistake.hint.is_some(), "{connect}");
        }
    }

    #[test]
    fn easy_connect_without_a_service_is_seen() {
        for connect in ["db1:1521", "//db1", "tcps://db1:1", "db1/", "db1/:shared", "db1:1?x=/y"] {
            assert!(has_no_service(connect), "{connect}");
        }
        for connect in [
            "PROD",
            "db1/PROD",
            "//db1:1/PROD/prod1",
            "ldap://x",
            "(DESCRIPTION=(ADDRESS=(HOST=a)))",
        ] {
            assert!(!has_no_service(connect), "{connect}");
        }
    }
}
