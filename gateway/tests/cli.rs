//! The binary as people and scripts meet it: exit codes, streams, documents; and that no key is ever printed.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test crate: the helpers, too, end the test when something is not as it should be"
)]

#[path = "support/binary.rs"]
mod binary;

use std::{
    fs,
    io::{Read, Write},
    os::unix::{
        fs::PermissionsExt,
        net::{UnixListener, UnixStream},
        process::CommandExt,
    },
    path::Path,
    process::{Command, Stdio},
    thread,
};

use binary::{BINARY, Ended, Folder, KEY, capture, command, ended, octets, quadspan};
use serde_json::Value;

/// IEEE 802.1AE-2018 Annex C.1.1 (GCM-AES-128, integrity of a 54-octet frame), and the frame in it.
const PROTECTED: &str = "d609b1f056637a0d46df998d88e5222ab2c2846512153524c0895e8108000f101112131415161718191a1b1c1d1e1f20\
    2122232425262728292a2b2c2d2e2f30313233340001f09478a9b09007d06f46e9b6a1da25dd";
const PLAIN: &str = "d609b1f056637a0d46df998d08000f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f30\
    313233340001";

/// Answers one request with `body`, and gives back what was asked.
fn answer_once(socket: &Path, status: &str, body: String) -> thread::JoinHandle<String> {
    let listener = UnixListener::bind(socket).unwrap();
    let status = status.to_owned();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 2048];
        let len = stream.read(&mut request).unwrap();
        write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        String::from_utf8_lossy(&request[..len]).into_owned()
    })
}

fn status(state: &str) -> String {
    let reason =
        r#"{"severity":"degraded","subject":"channel/ch1","reason":"no_carrier","message":"down: x"}"#;
    let reasons = if state == "ok" { "" } else { reason };
    format!(
        r#"{{"api":"v1","kind":"Status","generated_at":"2026-11-21T14:02:11Z","site":"fra2","version":"0.1.0","pid":1,
        "config_file":"/x","started":"2026-11-21T13:02:11Z","uptime_seconds":3600,"state":"{state}","reasons":[{reasons}],
        "workers":[],"connections":[],"channels":[],"ports":[],"drops":[],"new_field":1}}"#
    )
}

#[test]
fn a_good_configuration_is_called_valid() {
    let folder = Folder::new("good");
    let file = folder.config();
    let ended = quadspan(&["check", &file]);
    assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{ended:?}");
    assert_eq!(ended.out, format!("{file}: valid: 2 ports, 1 channel, 1 connection\n"));
    let json = quadspan(&["check", &file, "--json"]).json();
    assert_eq!((&json["kind"], &json["valid"], &json["errors"]), (&"Check".into(), &true.into(), &0.into()));
    let by_environment = ended_with_env(&["check"], "QUADSPAN_CONFIG", &file);
    assert_eq!(by_environment.code, 0, "{by_environment:?}");
}

fn ended_with_env(args: &[&str], name: &str, value: &str) -> Ended {
    ended(command().args(args).env(name, value))
}

#[test]
fn every_problem_is_told_with_its_place_and_code_3() {
    let folder = Folder::new("bad");
    let file = folder.config();
    let text = fs::read_to_string(&file).unwrap();
    let bad = text.replace("port = \"wan\"", "port = \"wam\"").replace("mss_clamp", "mss_clmap");
    let file = folder.put("bad.toml", bad);
    let ended = quadspan(&["check", &file]);
    assert_eq!((ended.code, ended.out.as_str()), (3, ""), "{ended:?}");
    for wanted in ["QS0102", "QS0002", "wam", "did you mean", "bad.toml:"] {
        assert!(ended.err.to_lowercase().contains(&wanted.to_lowercase()), "{wanted}: {}", ended.err);
    }
    assert!(!ended.err.contains('\x1b'), "no colour without a terminal");
    let ended = quadspan(&["check", &file, "--json"]);
    let problems = ended.json();
    assert_eq!((ended.code, &problems["valid"]), (3, &Value::Bool(false)));
    let list = problems["problems"].as_array().unwrap();
    assert_eq!(problems["errors"], list.iter().filter(|one| one["severity"] == "error").count());
    assert!(list.iter().all(|one| one["line"].as_u64() > Some(0) && one["message"].is_string()), "{list:?}");
    // The same file does not run either.
    let ended = quadspan(&["run", "-c", &file]);
    assert_eq!(ended.code, 3, "{ended:?}");
    assert!(ended.err.contains("QS0102"));
    assert!(quadspan(&["check", "--color", "always", &file]).err.contains('\x1b'));
}

#[test]
fn warnings_are_told_and_do_not_fail() {
    let folder = Folder::new("warning");
    let file = folder.config();
    let text = fs::read_to_string(&file).unwrap() + "[[port]]\nname = \"spare\"\ndevice = \"eth9\"\n";
    let file = folder.put("warning.toml", text);
    let ended = quadspan(&["check", &file]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.out.contains("valid") && ended.err.contains("QS0104"), "{ended:?}");
}

#[test]
fn a_configuration_that_cannot_be_read_is_no_invalid_one() {
    let folder = Folder::new("unreadable");
    let missing = folder.path("missing.toml").display().to_string();
    let ended = quadspan(&["check", &missing]);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.err.contains(&missing) && ended.err.contains("help:"), "{ended:?}");
    let ended = quadspan(&["check", "--json", &missing]);
    let error: Value = serde_json::from_str(&ended.err).unwrap();
    assert_eq!((ended.code, &error["error"]["code"]), (1, &"failed".into()));
    let binary = folder.put("binary.toml", [0xff, 0xfe, 0]);
    assert_eq!(quadspan(&["check", &binary]).code, 3);
}

#[test]
fn keys_that_everybody_may_read_or_that_stand_in_the_file_are_refused_and_not_shown() {
    let folder = Folder::new("keys");
    let file = folder.config();
    let key = folder.path("keys/east-to-west.sak");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let ended = quadspan(&["check", &file]);
    assert_eq!(ended.code, 3);
    assert!(ended.err.contains("QS0303") && ended.err.contains("chmod"), "{ended:?}");
    let text = fs::read_to_string(&file).unwrap();
    let literal = text.replace("{ file = \"keys/east-to-west.sak\" }", &format!("\"{}\"", KEY.repeat(2)));
    assert_ne!(literal, text);
    let ended = quadspan(&["check", &folder.put("literal.toml", literal)]);
    assert_eq!(ended.code, 3);
    assert!(ended.err.contains("QS0301"), "{ended:?}");
}

#[test]
fn the_schema_is_json_schema() {
    let ended = quadspan(&["schema"]);
    assert_eq!(ended.code, 0);
    let schema = ended.json();
    assert!(schema["$schema"].as_str().unwrap().contains("json-schema.org"));
    assert!(schema["properties"]["channel"].is_object(), "{schema}");
}

#[test]
fn without_a_gateway_the_code_is_4_with_advice() {
    let folder = Folder::new("unreachable");
    let socket = folder.path("none.sock").display().to_string();
    for args in [&["-s", &socket][..], &["-s", &socket, "status"], &["show", "ports", "-s", &socket]] {
        let ended = quadspan(args);
        assert_eq!((ended.code, ended.out.as_str()), (4, ""), "{ended:?}");
        assert!(ended.err.contains(&socket) && ended.err.contains("quadspan run"), "{ended:?}");
    }
    let ended = ended_with_env(&["--json"], "QUADSPAN_SOCKET", &socket);
    let error: Value = serde_json::from_str(&ended.err).unwrap();
    assert_eq!((ended.code, &error["error"]["code"]), (4, &"unreachable".into()));
    // A socket that its gateway left behind.
    drop(UnixListener::bind(&socket).unwrap());
    assert_eq!(quadspan(&["-s", &socket]).code, 4);
}

#[test]
fn a_user_who_may_not_use_the_socket_gets_code_5() {
    let folder = Folder::new("forbidden");
    let socket = folder.path("api.sock");
    let _listener = UnixListener::bind(&socket).unwrap();
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o000)).unwrap();
    // Root may do everything, so it asks as nobody; with a copy of the program, which nobody may read.
    let program = folder.path("quadspan");
    fs::copy(BINARY, &program).unwrap();
    fs::set_permissions(&folder.0, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(&program);
    if fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0) {
        command.uid(65534).gid(65534);
    }
    let ended = ended(command.arg("-s").arg(&socket).arg("status"));
    assert_eq!(ended.code, 5, "{ended:?}");
    assert!(ended.err.contains("may not use") && ended.err.contains("group"), "{ended:?}");
}

#[test]
fn wrong_usage_is_code_2() {
    for args in [
        &["nonsense"][..],
        &["show"],
        &["show", "nothing"],
        &["show", "co"],
        &["status", "--nope"],
        &["decode"],
        &["--color", "red"],
        &["demo", "--duration", "1"],
    ] {
        let ended = quadspan(args);
        assert_eq!((ended.code, ended.out.as_str()), (2, ""), "{args:?} {ended:?}");
        assert!(!ended.err.is_empty());
    }
}

#[test]
fn degraded_is_code_8_only_when_asked_for() {
    let folder = Folder::new("degraded");
    for (at, (state, args, code)) in [
        ("ok", &["status", "--exit-code"][..], 0),
        ("degraded", &["status"], 0),
        ("degraded", &["status", "--exit-code"], 8),
        ("degraded", &["status", "--exit-code", "--json"], 8),
    ]
    .into_iter()
    .enumerate()
    {
        let socket = folder.path(&format!("{at}.sock"));
        let asked = answer_once(&socket, "200 OK", status(state));
        let ended = quadspan(&[args, &["-s", socket.to_str().unwrap()]].concat());
        assert_eq!(ended.code, code, "{ended:?}");
        assert!(asked.join().unwrap().starts_with("GET /v1/status HTTP/1.1\r\n"));
        if args.contains(&"--json") {
            // As the gateway wrote it: nothing is lost, also what this version does not know.
            assert_eq!(ended.json()["new_field"], 1);
        } else {
            assert!(ended.out.starts_with("fra2   up 1h00m"), "{ended:?}");
            assert_eq!(ended.out.contains("! channel/ch1 down: x"), state == "degraded");
        }
    }
}

#[test]
fn names_choose_and_misspelt_ones_are_told() {
    let folder = Folder::new("names");
    let list = |kind: &str, name: &str| {
        format!(
            r#"{{"api":"v1","kind":"DropList","generated_at":"2026-11-21T14:02:11Z","items":[
            {{"scope":"{kind}","name":"{name}1","reason":"runt","count":7,"help":"h"}},
            {{"scope":"{kind}","name":"{name}2","reason":"no_route","count":9,"help":"h"}}]}}"#
        )
    };
    let socket = folder.path("a.sock");
    let asked = answer_once(&socket, "200 OK", list("channel", "ch"));
    let ended = quadspan(&["sh", "dr", "ch2", "--json", "-s", socket.to_str().unwrap()]);
    assert!(asked.join().unwrap().starts_with("GET /v1/drops "));
    assert_eq!(ended.json()["items"].as_array().unwrap().len(), 1, "{ended:?}");
    assert_eq!(ended.json()["items"][0]["name"], "ch2");
    let socket = folder.path("b.sock");
    let asked = answer_once(&socket, "200 OK", list("channel", "ch"));
    let ended = quadspan(&["show", "channels", "chh1", "-s", socket.to_str().unwrap()]);
    asked.join().unwrap();
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains("`chh1`") && ended.err.contains("did you mean `ch1`?"), "{ended:?}");
}

#[test]
fn a_drill_is_not_shortened_and_run_says_how_to_name_a_file() {
    let ended = quadspan(&["drill", "ch1", "--for", "60s"]);
    assert!(ended.code == 2 && ended.err.contains("1s to 30s"), "{ended:?}");
    let ended = quadspan(&["run", "-c", "/nowhere/quadspan.toml"]);
    assert!(ended.code == 1 && ended.err.contains("quadspan run -c FILE"), "{ended:?}");
}

#[test]
fn what_a_gateway_refuses_is_passed_on() {
    let folder = Folder::new("refused");
    let socket = folder.path("api.sock");
    let problem = r#"{"type":"urn:x","title":"Not Found","status":404,"detail":"there is nothing at /v1/routes","code":"unknown_path"}"#;
    let asked = answer_once(&socket, "404 Not Found", problem.to_owned());
    let ended = quadspan(&["show", "routes", "-s", socket.to_str().unwrap()]);
    asked.join().unwrap();
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains("there is nothing at /v1/routes"), "{ended:?}");
}

#[test]
fn a_second_gateway_on_one_socket_is_refused_before_it_opens_anything() {
    let folder = Folder::new("second");
    let file = folder.config();
    let _first = UnixListener::bind(folder.path("api.sock")).unwrap();
    let ended = quadspan(&["run", "-c", &file]);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.err.contains("another gateway is running"), "{ended:?}");
    assert!(!folder.path("state").exists(), "nothing was touched");
}

#[test]
fn a_gateway_without_its_devices_says_which_one_is_missing() {
    let folder = Folder::new("no-device");
    let file = folder.config();
    let text = fs::read_to_string(&file)
        .unwrap()
        .replace("\"eth1\"", "\"nosuch1\"")
        .replace("\"eth2\"", "\"nosuch2\"");
    let ended = quadspan(&["run", "-c", &folder.put("none.toml", text)]);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.err.contains("nosuch") && ended.err.contains("ip link"), "{ended:?}");
    assert!(UnixStream::connect(folder.path("api.sock")).is_err());
}

#[test]
fn a_capture_is_decoded_and_its_frames_are_written() {
    let folder = Folder::new("decode");
    let mut altered = octets(PROTECTED);
    altered[40] ^= 1;
    let eapol = [&[2; 12][..], &[0x88, 0x8e, 3, 1, 0, 0]].concat();
    let file = folder.put("a.pcap", capture(&[octets(PROTECTED), altered, eapol]));
    let key = folder.put("a.sak", format!("{KEY}\n"));
    let out = folder.path("clear.pcapng").display().to_string();
    let ended = quadspan(&["decode", &file, "--sak", &format!("@{key}"), "-w", &out, "--json"]);
    assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{ended:?}");
    let json = ended.json();
    assert_eq!(json["frames"], 3);
    assert_eq!(
        (&json["macsec"]["total"], &json["macsec"]["valid"], &json["macsec"]["invalid"]),
        (&2.into(), &1.into(), &1.into())
    );
    assert_eq!(
        (&json["macsec"]["no_key"], &json["other"]["0x888e"], &json["truncated"]),
        (&0.into(), &1.into(), &false.into())
    );
    assert_eq!(
        (&json["channels"][0]["sci"], &json["channels"][0]["an"]),
        (&"12:15:35:24:c0:89/5e81".into(), &2.into())
    );
    let clear = fs::read(&out).unwrap();
    assert!(clear.windows(54).any(|part| part == octets(PLAIN)), "the clear frame is in the file");
    assert_eq!(fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600);
    // For people, and with the key on the command line.
    let ended = quadspan(&["decode", &file, "--sak", &format!("{KEY},an=2")]);
    assert!(ended.out.contains("3 frames, 2 with MACsec: 1 valid, 1 invalid, 0 without key"), "{ended:?}");
    let ended = quadspan(&["decode", &file]);
    assert!(ended.out.contains("2 without key"), "{ended:?}");
    // From a pipe.
    let mut piped = command()
        .args(["decode", "-", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    piped.stdin.take().unwrap().write_all(&fs::read(&file).unwrap()).unwrap();
    let output = piped.wait_with_output().unwrap();
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &json["macsec"]["no_key"]), (Some(0), &2.into()));
}

#[test]
fn a_capture_that_is_cut_gives_what_there_was_and_code_1() {
    let folder = Folder::new("cut");
    let whole = capture(&[octets(PROTECTED), octets(PROTECTED)]);
    let file = folder.put("cut.pcap", &whole[..whole.len() - 10]);
    let ended = quadspan(&["decode", &file, "--sak", KEY, "--json"]);
    assert_eq!(ended.code, 1, "{ended:?}");
    let json = ended.json();
    assert_eq!(
        (&json["frames"], &json["macsec"]["valid"], &json["truncated"]),
        (&1.into(), &1.into(), &true.into())
    );
    assert!(
        serde_json::from_str::<Value>(&ended.err).unwrap()["error"]["message"]
            .as_str()
            .unwrap()
            .contains("cut in the middle")
    );
    let ended = quadspan(&["decode", &file, "--sak", KEY]);
    assert!(ended.out.contains("1 valid") && ended.err.contains("cut in the middle"), "{ended:?}");
}

#[test]
fn decode_refuses_what_it_cannot_use_without_repeating_keys() {
    let folder = Folder::new("decode-bad");
    let file = folder.put("a.pcap", capture(&[octets(PROTECTED)]));
    for (sak, wanted) in [
        (format!("{KEY}0"), "32 or 64 hexadecimal digits"),
        (format!("{KEY},an=7"), "0, 1, 2 or 3"),
        (format!("{KEY},{KEY}"), "part 1"),
        (format!("{KEY},suite=gcm-aes-xpn-128"), "salt="),
    ] {
        let ended = quadspan(&["decode", &file, "--sak", &sak]);
        assert_eq!((ended.code, ended.out.as_str()), (2, ""), "{ended:?}");
        assert!(ended.err.contains(wanted) && ended.err.contains("--sak number 1"), "{ended:?}");
    }
    let open = folder.put("open.sak", KEY);
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).unwrap();
    let ended = quadspan(&["decode", &file, "--sak", &format!("@{open}")]);
    assert!(ended.code == 2 && ended.err.contains("chmod"), "{ended:?}");

    let text = folder.put("a.txt", "not a capture");
    let ended = quadspan(&["decode", &text]);
    assert!(ended.code == 1 && ended.err.contains("neither pcap nor pcapng"), "{ended:?}");
    assert_eq!(quadspan(&["decode", "/nonexistent.pcap"]).code, 1);
    assert_eq!(quadspan(&["decode", folder.0.to_str().unwrap()]).code, 1);
    let before = fs::read(&file).unwrap();
    let ended = quadspan(&["decode", &file, "-w", &file]);
    assert!(ended.code == 2 && ended.err.contains("is the capture itself"), "{ended:?}");
    assert_eq!(fs::read(&file).unwrap(), before, "the capture is whole");
}

#[test]
fn a_demo_does_not_begin_whose_files_cannot_be_written() {
    for words in [&["demo", "--capture"][..], &["demo", "--failover", "--report"]] {
        let ended = quadspan(&[words, &["/nowhere/at/all"]].concat());
        assert_eq!(ended.code, 1, "{ended:?}");
        let said = format!("{}{}", ended.out, ended.err);
        assert!(
            said.contains("cannot write /nowhere/at/all: ") && said.contains("name a file in a folder"),
            "{said}"
        );
        assert!(said.lines().count() <= 2, "nothing was played: {said}");
    }
}

#[test]
fn words_are_explained() {
    for (what, wanted) in [
        ("drop:macsec_late", "replay window"),
        ("macsec_late", "replay window"),
        ("QS0302", "does not exist"),
        ("qs0302", "does not exist"),
        ("event:attachment.down", "must not carry traffic"),
    ] {
        let ended = quadspan(&["explain", what]);
        assert_eq!(ended.code, 0, "{ended:?}");
        assert!(ended.out.contains(wanted), "{what}: {ended:?}");
    }
    let told = quadspan(&["--json", "explain", "drop:runt"]).json();
    assert!(told["name"] == "drop:runt" && told["causes"].is_string() && told["next"].is_string(), "{told}");
    let ended = quadspan(&["explain", "drop:no_route"]);
    assert!(
        ["usually: BGP has not", "look at: `show routes"].iter().all(|part| ended.out.contains(part)),
        "{ended:?}"
    );
    let ended = quadspan(&["explain", "drop:macsec_lat"]);
    assert!(ended.code == 1 && ended.err.contains("did you mean `drop:macsec_late`?"), "{ended:?}");
    assert_eq!(quadspan(&["explain", "zzzzzz"]).code, 1);
}

#[test]
fn a_variable_that_is_empty_is_none() {
    let said = |socket: Option<&str>| {
        let mut command = command();
        command.arg("status").envs(socket.map(|socket| ("QUADSPAN_SOCKET", socket)));
        ended(&mut command).err
    };
    assert_eq!(said(Some("")), said(None));
    assert!(said(Some("/nowhere/api.sock")).contains("/nowhere/api.sock"));
}

#[test]
fn exit_codes_and_version_are_documented() {
    let help = quadspan(&["help", "exit-codes"]);
    assert_eq!(help.code, 0);
    let table = quadspan(&["exit-codes"]);
    for line in ["0  done", "1  the operation failed", "2  wrong usage", "3  the configuration is invalid"] {
        assert!(help.out.contains(line) && table.out.contains(line), "{line}");
    }
    for line in [
        "4  no gateway answers",
        "5  not permitted",
        "6  the file has changes that need a restart",
        "8  degraded",
    ] {
        assert!(help.out.contains(line) && table.out.contains(line), "{line}");
    }
    assert!(table.out.contains("bench --config"), "{table:?}");
    assert_eq!(quadspan(&["exit-codes", "--json"]).json().as_array().unwrap().len(), 8);
    assert_eq!(quadspan(&["version"]).out, format!("quadspan {}\n", env!("CARGO_PKG_VERSION")));
    assert_eq!(quadspan(&["--version"]).out, format!("quadspan {}\n", env!("CARGO_PKG_VERSION")));
    assert_eq!(quadspan(&["version", "--json"]).json()["program"], "quadspan");
    let help = quadspan(&["--help"]);
    assert!(help.code == 0 && help.out.contains("decode") && help.err.is_empty());
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let mut child = command().arg("schema").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn the_doctor_says_what_is_wrong_with_the_machine_and_with_the_file() {
    let folder = Folder::new("doctor");
    folder.config();
    let file = folder.path("quadspan.toml");
    let file = file.to_str().unwrap();
    let told = quadspan(&["doctor", file]);
    // The devices of the example are not there.
    assert_eq!(told.code, 8, "{told:?}");
    assert!(told.out.contains("FAIL  port") && told.out.contains("there is no device"), "{told:?}");
    assert!(told.out.contains("ok    config") && told.out.contains("looked at"), "{told:?}");
    let json = quadspan(&["doctor", file, "--json"]).json();
    assert_eq!((&json["kind"], &json["result"]), (&"Doctor".into(), &"fail".into()));
    let items = json["items"].as_array().unwrap();
    assert!(items.iter().any(|one| one["check"] == "rights") && items.len() > 8, "{json}");
    for one in items {
        assert_eq!(one["result"] == "ok", one["remedy"].is_null(), "{one}");
    }
    folder.put("broken.toml", "schema = 1\n");
    let broken = quadspan(&["doctor", folder.path("broken.toml").to_str().unwrap()]);
    assert!(broken.code == 8 && broken.out.contains("nothing else was looked at"), "{broken:?}");
    assert_eq!(quadspan(&["doctor", "/nowhere.toml"]).code, 1);
}
