//! Which addresses are public, and which URLs are taken without asking the network.

use std::net::IpAddr;

use kinora_media::fetch::{AllowedHosts, UrlProblem, address::is_public, check_url_syntax};

#[test]
fn addresses() {
    let public = [
        "1.1.1.1",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.1",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "2606:4700::1111",
        "2a00:1450:4001::1",
        "2001:4860:4860::8888",
        "::ffff:8.8.8.8",
    ];
    let reserved = [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "10.255.255.255",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.1",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.0.1",
        "192.168.255.255",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:0:5ef5:79fd::1",
        "2001:10::1",
        "2001:1ff::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "2002:808:808::",
        "3fff::1",
        "4000::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "ff02::1",
        "5f00::1",
    ];
    for (addresses, expected) in [(&public[..], true), (&reserved[..], false)] {
        for address in addresses {
            assert_eq!(
                is_public(address.parse::<IpAddr>().unwrap()),
                expected,
                "{address}"
            );
        }
    }
}

#[test]
fn urls() {
    use UrlProblem::{Malformed, NotHttp, NotPublic, TooLong, UserInfo};
    let allowed =
        AllowedHosts::parse(["media.internal", "127.0.0.1:8080", "[::1]:9000", "localhost:7000"]).unwrap();
    let long = format!("https://example.com/{}", "a".repeat(8192 - 20));
    let too_long = format!("{long}a");
    let cases = [
        ("https://example.com/a.mp4", Ok(())),
        ("HTTP://EXAMPLE.com:8080/a?b=c@d#e", Ok(())),
        ("https://93.184.215.14/a", Ok(())),
        ("https://[2606:4700::1111]/a", Ok(())),
        ("https://xn--bcher-kva.example/ü", Ok(())),
        (&long, Ok(())),
        (&too_long, Err(TooLong)),
        ("", Err(NotHttp)),
        ("/a.mp4", Err(NotHttp)),
        ("//example.com/a.mp4", Err(NotHttp)),
        ("example.com/a.mp4", Err(NotHttp)),
        ("ftp://example.com/a", Err(NotHttp)),
        ("file:///etc/passwd", Err(NotHttp)),
        ("data:image/png;base64,AAAA", Err(NotHttp)),
        ("gopher://127.0.0.1:70/", Err(NotHttp)),
        ("concat:http://example.com/a", Err(NotHttp)),
        ("http:example.com", Err(NotHttp)),
        (" https://example.com/", Err(NotHttp)),
        ("https://", Err(Malformed)),
        ("https:///a", Err(Malformed)),
        ("https://exa mple.com/", Err(Malformed)),
        ("https://example.com/a\tb", Err(Malformed)),
        ("https://example.com\\@127.0.0.1/", Err(Malformed)),
        ("https://exam\nple.com/", Err(Malformed)),
        ("https://example.com:99999/", Err(Malformed)),
        ("https://[::1/", Err(Malformed)),
        ("https://1.2.3.4.5/", Err(Malformed)),
        ("https://user@example.com/", Err(UserInfo)),
        ("https://user:password@example.com/", Err(UserInfo)),
        ("https://:@example.com/", Err(UserInfo)),
        ("https://@example.com/", Err(UserInfo)),
        ("https://example.com@127.0.0.1/", Err(UserInfo)),
        ("http://localhost/", Err(NotPublic)),
        ("http://LOCALHOST:80/", Err(NotPublic)),
        ("http://localhost./", Err(NotPublic)),
        ("http://a.localhost/", Err(NotPublic)),
        ("http://a.b.LocalHost./", Err(NotPublic)),
        ("http://127.0.0.1/", Err(NotPublic)),
        ("http://127.0.0.1./", Err(NotPublic)),
        ("http://127.1/", Err(NotPublic)),
        ("http://127.0.1/", Err(NotPublic)),
        ("http://2130706433/", Err(NotPublic)),
        ("http://017700000001/", Err(NotPublic)),
        ("http://0177.0.0.1/", Err(NotPublic)),
        ("http://0x7f.1/", Err(NotPublic)),
        ("http://0x7f000001/", Err(NotPublic)),
        ("http://0/", Err(NotPublic)),
        ("http://0.0.0.0/", Err(NotPublic)),
        ("http://%31%32%37.0.0.1/", Err(NotPublic)),
        ("http://１２７.0.0.1/", Err(NotPublic)),
        ("http://①②⑦.0.0.1/", Err(NotPublic)),
        ("http://127。0。0。1/", Err(NotPublic)),
        ("http://169.254.169.254/latest/meta-data/", Err(NotPublic)),
        ("http://2852039166/", Err(NotPublic)),
        ("http://10.0.0.1/", Err(NotPublic)),
        ("http://192.168.1.1/", Err(NotPublic)),
        ("http://[::1]/", Err(NotPublic)),
        ("http://[::]/", Err(NotPublic)),
        ("http://[::ffff:127.0.0.1]/", Err(NotPublic)),
        ("http://[::ffff:7f00:1]/", Err(NotPublic)),
        ("http://[0:0:0:0:0:ffff:a9fe:a9fe]/", Err(NotPublic)),
        ("http://[64:ff9b::7f00:1]/", Err(NotPublic)),
        ("http://[2002:7f00:1::]/", Err(NotPublic)),
        ("http://[fd00:ec2::254]/", Err(NotPublic)),
        ("http://[fe80::1]/", Err(NotPublic)),
        ("http://media.internal/a", Ok(())),
        ("http://media.internal:1234/a", Ok(())),
        ("http://127.0.0.1:8080/a", Ok(())),
        ("http://0x7f.1:8080/a", Ok(())),
        ("http://127.0.0.1:8081/a", Err(NotPublic)),
        ("http://[::1]:9000/", Ok(())),
        ("http://[::1]:9001/", Err(NotPublic)),
        ("http://localhost:7000/", Ok(())),
        ("http://localhost/", Err(NotPublic)),
        ("http://user@media.internal/a", Err(UserInfo)),
    ];
    for (url, expected) in cases {
        assert_eq!(check_url_syntax(url, &allowed), expected, "{url:?}");
    }
}

#[test]
fn an_allowed_host_must_be_one() {
    for entry in ["", "http://example.com", "a b", "host:port", "host:99999", "::1"] {
        assert!(AllowedHosts::parse([entry]).is_err(), "{entry}");
    }
}
