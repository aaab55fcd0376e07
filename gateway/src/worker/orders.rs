//! What the control plane asks of a worker, done between two rounds.

use dataplane::{
    DropReason,
    port::{Port, PortError},
};

use super::{Command, News, RETRY, Report, Worker};
use crate::{clock, runtime::Schedule};

impl Worker {
    pub(super) fn take_commands(&mut self) {
        while let Ok(command) = self.commands.try_recv() {
            self.obey(command);
        }
    }

    /// While it rests: sleeps until there is a command, or until another worker may have handed something over. The poller would not
    /// let it sleep, for frames wait in the ports; and this thread, which goes before others now, must not keep them from working.
    pub(super) fn await_command(&mut self) {
        if let Ok(command) = self.commands.recv_timeout(RETRY) {
            self.obey(command);
        }
    }

    fn obey(&mut self, command: Command) {
        let now = clock::now();
        match command {
            Command::Tables(tables) => {
                let before = self.dataplane.set_tables(tables);
                (self.news)(News::Retired(before));
            }
            Command::PortFault(port, fault) => {
                if fault.is_none() {
                    self.say(port, None);
                }
                self.dataplane.set_port_fault(port, fault, now);
            }
            Command::Rehearse(channel, active) => self.dataplane.rehearse(channel, active, now),
            Command::ChannelFault(channel, fault, present) => {
                self.dataplane.set_channel_fault(channel, fault, present, now);
            }
            Command::LagFault(lag, fault, present) => {
                self.dataplane.set_lag_fault(lag, fault, present, now);
            }
            Command::Path(port, octets) => {
                // Whose port it is looks at it.
                let _narrows = self.dataplane.set_path(port, octets);
            }
            Command::ReplacePort(id, port) => {
                if let Err(error) = self.set_port(id, port) {
                    (self.news)(News::Port(id, PortError::Os(error.raw_os_error().unwrap_or(0))));
                }
            }
            Command::PnLimit { channel, an, limit, low } => {
                self.dataplane.set_pn_limit(channel, an, limit, low)
            }
            Command::Wall(wall) => self.dataplane.set_wall(wall),
            Command::MkaKeys(channel, keys) => {
                // Only channels with MKA are given keys.
                let _known = self.dataplane.set_mka_keys(channel, keys, now);
            }
            Command::SwitchBfd(session, down) => {
                // Not ours: another worker has it.
                let _known = self.dataplane.set_bfd_admin_down(session, down, now);
            }
            Command::SetBfd(interface, params) => {
                let _known = self.dataplane.set_bfd_params(interface, &params, now);
            }
            Command::Rekey(channel, reply) => {
                // Whoever asked may have given up.
                let _sent = reply.send(self.dataplane.rekey(channel, now));
            }
            Command::Suspend(channel, time, reply) => {
                let _sent = reply.send(self.dataplane.suspend_mka(channel, time, now));
            }
            Command::Report(reply) => {
                // Whoever asked may have given up.
                let _sent = reply.send(self.report());
            }
            Command::Received(reply) => {
                let _sent = reply.send(self.dataplane.received());
            }
            Command::Transit(reply) => {
                let _sent = reply.send(self.dataplane.transit());
            }
            Command::Handover(step) => self.towards_successor(step),
            Command::Stop => self.stop = true,
        }
    }

    /// What ports drop themselves counts under the reasons of the closed list too.
    fn report(&self) -> Report {
        let of_port = |port: &dyn Port| (port.kind(), port.counters());
        let ports: Vec<_> = self.ports.iter().map(|port| port.as_deref().map(of_port)).collect();
        let mut snapshot = self.dataplane.snapshot(clock::now());
        for (port, counters) in snapshot.ports.iter_mut().zip(&ports) {
            let Some((_, counters)) = counters else { continue };
            port.drops.add(DropReason::Overload, counters.rx_shed);
            port.drops.add(DropReason::Truncated, counters.rx_truncated);
            port.drops.add(DropReason::NoBuffer, counters.rx_no_buffer);
            port.drops.add(DropReason::BadOffload, counters.rx_bad_offload);
            port.drops.add(DropReason::PortRefused, counters.tx_refused);
            port.drops.add(DropReason::VxlanBadHeader, counters.rx_bad_header);
            port.drops.add(DropReason::VxlanUnknownVni, counters.rx_unknown_vni);
            port.drops.add(DropReason::VxlanUnknownSource, counters.rx_unknown_source);
            port.drops.add(DropReason::PathTooNarrow, counters.tx_too_long);
        }
        let schedule = Schedule::of(sys::process::thread_id());
        Report { snapshot, ports, account: self.keeper.account(), schedule }
    }
}
