//! Namespaces and holders. What changes the whole process is tested in `tests/own_namespaces.rs`.

use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use super::*;
use crate::interface;
use crate::testbed::{in_new_namespace, wait_for};

#[test]
fn a_new_namespace_has_loopback_only_and_what_is_made_there_stays_there() {
    in_new_namespace(|bed| {
        assert_eq!(interface::all().unwrap(), ["lo"]);
        let other = NetNs::new().unwrap();
        bed.veth("a", "b");
        assert_eq!(other.within(|| interface::all().unwrap()).unwrap(), ["lo"]);
        assert!(interface::index("a").is_ok(), "the caller was not moved");
    });
}

#[test]
fn a_socket_stays_in_the_namespace_it_was_opened_in() {
    in_new_namespace(|bed| {
        bed.veth("a", "b");
        let here = NetNs::current().unwrap();
        let elsewhere = NetNs::new().unwrap();
        let options = crate::testbed::options("a", crate::RingVersion::V2);
        let (socket, _ring) = elsewhere
            .within(|| here.within(|| crate::PacketSocket::open(&options).unwrap()).unwrap())
            .unwrap();
        socket.health().unwrap();
    });
}

#[test]
fn a_panic_inside_comes_out() {
    in_new_namespace(|_| {
        let namespace = NetNs::new().unwrap();
        let result = std::panic::catch_unwind(|| namespace.within(|| panic!("inside")));
        assert_eq!(result.unwrap_err().downcast_ref(), Some(&"inside"));
    });
}

#[test]
fn a_command_starts_inside_and_dies_with_its_thread() {
    in_new_namespace(|_| {
        let namespace = NetNs::new().unwrap();
        namespace.within(|| interface::set_up("lo", true).unwrap()).unwrap();
        let output =
            namespace.spawn(Command::new("ip").args(["-br", "link"]).stdout(Stdio::piped())).unwrap();
        let text = String::from_utf8(output.wait_with_output().unwrap().stdout).unwrap();
        assert!(text.starts_with("lo") && text.lines().count() == 1 && text.contains("UP"), "{text}");
        let mut orphan = thread::scope(|s| {
            s.spawn(|| namespace.spawn(Command::new("sleep").arg("1000")).unwrap()).join().unwrap()
        });
        assert_eq!(orphan.wait().unwrap().signal(), Some(libc::SIGKILL));
    });
}

#[test]
fn something_else_than_a_namespace_cannot_be_entered() {
    in_new_namespace(|_| {
        let wrong = NetNs::open("/proc/self/ns/uts").unwrap();
        assert_eq!(wrong.within(|| ()).unwrap_err().raw_os_error(), Some(libc::EINVAL));
        assert!(wrong.spawn(&mut Command::new("true")).is_err());
        NetNs::of_process(u32::MAX).expect_err("no such process");
    });
}

#[test]
fn a_holder_gives_its_namespace_a_process_until_it_is_dropped() {
    in_new_namespace(|bed| {
        // Two at once: the second must not keep the first alive by an inherited pipe.
        let (first, second) = (Holder::start().unwrap(), Holder::start().unwrap());
        bed.veth("a", "b");
        bed.ip(&format!("link set dev b netns {}", first.pid()));
        assert_eq!(first.namespace().within(|| interface::all().unwrap()).unwrap(), ["lo", "b"]);
        assert_eq!(second.namespace().within(|| interface::all().unwrap()).unwrap(), ["lo"]);
        let name = fs::read_to_string(format!("/proc/{}/comm", first.pid())).unwrap();
        assert_eq!(name, "qs-netns\n");
        let open = fs::read_dir(format!("/proc/{}/fd", first.pid())).unwrap().count();
        assert_eq!(open, 2, "nothing of ours but the pipe it waits on and the one it reported to");
        let pid = first.pid();
        drop(first);
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
        // With its last process the namespace goes, and with it the far half of the pair.
        wait_for(|| interface::index("a").is_err());
    });
}
