//! What people see: every problem at once, with its place, a caret and a remedy.

mod support;

use support::{base_with, problems};

#[test]
fn several_problems_render_as_they_did() {
    let text = base_with(&[
        ("device = \"eth1\"", "devcie = \"eth1\""),
        ("io = \"af_packet\"", "io = \"af_xpd\""),
        ("port = \"wan2\"", "port = \"wan3\""),
        ("cipher = \"gcm-aes-256\"", "cipher = \"gcm-aes-265\""),
        (
            "key = { file = \"ch2-in\" }",
            "key = \"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\"",
        ),
        ("mtu = 1500", "mtu = 1504"),
        ("peer = [\"169.254.11.2\"]", "peer = [\"169.254.12.2\"]"),
        ("prefix = \"10.3.0.0/24\"", "prefix = \"10.3.0.7/24\""),
    ]);
    let rendered = problems(&text).render(100, false);
    let expected = include_str!("rendered.txt");
    assert!(rendered == expected, "{rendered}");
}
