//! Web configurations as files, with the certificates of the tests beside them.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

/// A hash of `tiger` at cost 4.
const HASH: &str = "$2y$04$e0MYzXyjpJS7Pd0RVvHwHeD5.HYJs06LQo3VxZR7eDNSWd6fcqFHC";

/// A folder with a certificate, its key and an authority.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/certificates");
    for file in ["server.pem", "server.key", "renewed.key", "authority.pem"] {
        let to = folder.path().join(file);
        std::fs::copy(source.join(file), &to).expect("is copied");
        std::fs::set_permissions(&to, std::fs::Permissions::from_mode(0o600)).expect("is set");
    }
    folder
}

fn loaded(folder: &Path, text: &str) -> LoadedWebConfig {
    let path = folder.join("web.yml");
    std::fs::write(&path, text).expect("is written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("is set");
    load(&path)
}

const TLS: &str = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n";

#[test]
fn what_prometheus_accepts_and_this_server_has_is_accepted() {
    let folder = folder();
    let cert = std::fs::read_to_string(folder.path().join("server.pem")).expect("is read");
    let key = std::fs::read_to_string(folder.path().join("server.key")).expect("is read");
    let inline = format!(
        "tls_server_config:\n  cert: |\n    {}\n  key: |\n    {}\n",
        cert.trim().replace('\n', "\n    "),
        key.trim().replace('\n', "\n    ")
    );
    let cases = [
        (TLS.to_owned(), "TLS"),
        (inline, "TLS"),
        (
            format!("basic_auth_users:\n  maria: {HASH}\n"),
            "1 user with a password",
        ),
        (
            format!("{TLS}basic_auth_users: {{maria: {HASH}, \"ops@example.com\": '{HASH}'}}\n"),
            "TLS, 2 users with passwords",
        ),
        (
            format!("{TLS}  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: authority.pem\n"),
            "TLS, certificates of clients",
        ),
        (
            format!("{TLS}  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: ./authority.pem\n"),
            "TLS",
        ),
        (format!("{TLS}  client_auth_type: NoClientCert\n"), "TLS"),
        (
            format!(
                "{TLS}  min_version: TLS12\n  max_version: TLS12\n  prefer_server_cipher_suites: false\n  cipher_suites:\n  - \
                 TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384\n  - TLS_AES_128_GCM_SHA256\n  curve_preferences: [CurveP256, X25519]\n"
            ),
            "TLS",
        ),
        (
            format!(
                "{TLS}http_server_config:\n  http2: false\n  headers:\n    X-Frame-Options: deny\n    X-XSS-Protection: 1\n    \
                 Strict-Transport-Security: max-age=31536000; includeSubDomains\n"
            ),
            "TLS",
        ),
    ];
    for (text, protected) in cases {
        let loaded = loaded(folder.path(), &text);
        assert_eq!(loaded.errors(), "", "{text}");
        assert_eq!(loaded.web.expect("no error").to_string(), protected, "{text}");
    }
}

#[test]
fn what_this_server_has_not_is_refused_by_the_name_of_its_key() {
    let folder = folder();
    let with = |more: &str| format!("{TLS}{more}");
    let cases = [
        ("rate_limit: {interval: 1s, burst: 20}\n".to_owned(), "`rate_limit`"),
        (with("http_server_config: {http2: true}\n"), "`http2`"),
        (with("  client_allowed_sans: [a]\n"), "`client_allowed_sans`"),
        (
            with("  client_auth_type: RequireAnyClientCert\n"),
            "`client_auth_type: RequireAnyClientCert`",
        ),
        (
            with("  client_auth_type: RequestClientCert\n"),
            "`client_auth_type: RequestClientCert`",
        ),
        (
            with("  client_auth_type: RequireAndVerifyClientCert\n"),
            "needs `client_ca_file`",
        ),
        (
            with("  client_ca_file: authority.pem\n"),
            "`client_ca_file` has no effect",
        ),
        (
            with("  client_auth_type: x\n"),
            "`x` is not a valid value of `client_auth_type`",
        ),
        (with("  min_version: TLS10\n"), "does not have TLS10"),
        (
            with("  min_version: TLS13\n  max_version: TLS12\n"),
            "`min_version` is above `max_version`",
        ),
        (
            with("  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA]\n"),
            "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA` of `cipher_suites`",
        ),
        (
            with("  curve_preferences: [CurveP521]\n"),
            "`CurveP521` of `curve_preferences`",
        ),
        (
            with("http_server_config: {headers: {X-Frame-Options: foo}}\n"),
            "header `X-Frame-Options`",
        ),
        (
            with("http_server_config: {headers: {Content-Type: foo}}\n"),
            "no key `Content-Type`",
        ),
        (with("  cert_filse: a\n"), "no key `cert_filse`"),
    ];
    refuses(&folder, &cases);
}

#[test]
fn what_is_no_certificate_and_no_user_is_refused() {
    let folder = folder();
    let with = |more: &str| format!("{TLS}{more}");
    let cases = [
        (
            "tls_server_config:\n  cert_file: server.pem\n".to_owned(),
            "has no `key_file`",
        ),
        (
            "tls_server_config:\n  cert_file: none.pem\n  key_file: server.key\n".to_owned(),
            "none.pem: No such file",
        ),
        (
            "tls_server_config:\n  cert_file: server.key\n  key_file: server.key\n".to_owned(),
            "no certificate in PEM form",
        ),
        (
            "tls_server_config:\n  cert_file: server.pem\n  key_file: server.pem\n".to_owned(),
            "no private key in PEM form",
        ),
        (
            "tls_server_config:\n  cert_file: server.pem\n  key_file: renewed.key\n".to_owned(),
            "cannot be used together",
        ),
        (with("  cert: x\n"), "both `cert` and `cert_file`"),
        (
            "basic_auth_users: {john: doe}\n".to_owned(),
            "the user `john`: this is no bcrypt hash",
        ),
        (
            format!("basic_auth_users: {{john: {}}}\n", HASH.replace("$04$", "$18$")),
            "the cost of this hash is 18",
        ),
        (
            format!("basic_auth_users: {{john: {HASH}, john: {HASH}}}\n"),
            "`john` is already defined",
        ),
        (format!("basic_auth_users: {{\"a:b\": {HASH}}}\n"), "neither a colon"),
        (String::new(), "empty"),
        ("- a\n".to_owned(), "must be a mapping"),
    ];
    refuses(&folder, &cases);
}

fn refuses(folder: &tempfile::TempDir, cases: &[(String, &str)]) {
    for (text, said) in cases {
        let loaded = loaded(folder.path(), text);
        assert!(loaded.web.is_none(), "{text}");
        assert!(loaded.errors().contains(said), "{text}: {}", loaded.errors());
    }
}

#[test]
fn no_message_shows_a_hash_or_a_key() {
    let folder = folder();
    let texts = [
        "basic_auth_users:\n  john: hunter2\n  \"maria\": \"hunter2\"\n".to_owned(),
        "basic_auth_users: {john: hunter2, maria: hunter2\n".to_owned(),
        "basic_auth_users: [hunter2]\n".to_owned(),
        "basic_auth_users: hunter2\n".to_owned(),
        "basic_auth_users:\n  john: [hunter2]\n  maria: {hunter2: 1}\n  hunter2x\n".to_owned(),
        "basic_auth_users:\n  john: |\n    hunter2\n".to_owned(),
        "basic_auth_users: {\"maria:hunter2\": 1}\n".to_owned(),
        format!("{TLS}  key: hunter2\n"),
        "tls_server_config: {cert_file: a, key: hunter2}\n".to_owned(),
        "tls_server_config:\n  cert_file: server.pem\n  key: |\n    hunter2\n    hunter2\n  colour: blue\n".to_owned(),
        "tls_server_config:\n  key: [hunter2]\n".to_owned(),
        "x: &h $2y$hunter2\nbasic_auth_users: {john: *h}\n".to_owned(),
    ];
    for text in texts {
        let loaded = loaded(folder.path(), &text);
        assert!(loaded.web.is_none(), "{text}");
        for one in &loaded.diagnostics {
            let shown = format!("{one}\n{}\n{one:?}", one.render(false));
            assert!(!shown.contains("hunter2"), "{text}: {shown}");
        }
    }
    let good = loaded(folder.path(), &format!("{TLS}basic_auth_users: {{maria: {HASH}}}\n"));
    let shown = format!("{good:?}");
    assert!(!shown.contains("$2y") && !shown.contains("BEGIN"), "{shown}");
}

#[test]
fn files_that_all_can_read_are_told() {
    let folder = folder();
    let path = folder.path().join("web.yml");
    loaded(folder.path(), TLS);
    for file in [&path, &folder.path().join("server.key")] {
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o644)).expect("is set");
    }
    let again = load(&path);
    let codes: Vec<&str> = again.diagnostics.iter().map(|problem| problem.code).collect();
    assert_eq!(codes, ["secret-readable-by-all", "secret-readable-by-all"]);
    assert!(again.web.is_some(), "a warning");
}

#[test]
fn a_stamp_differs_after_each_change() {
    let folder = folder();
    let file = folder.path().join("server.pem");
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&file, &link).expect("is made");
    let files = [link.clone(), folder.path().join("none")];
    let first = stamp(&files);
    assert_eq!(stamp(&files), first);
    std::fs::remove_file(&link).expect("is there");
    std::os::unix::fs::symlink(folder.path().join("authority.pem"), &link).expect("is made");
    assert_ne!(stamp(&files), first);
}
