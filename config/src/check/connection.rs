//! Connections: their attachments and LANs.

use super::{
    address::{self, Subnets},
    bgp,
    channel::profile_of,
    classes, given, mtu,
    names::Names,
    overlap, profile, protection, quality, route, transparent, values,
};
use crate::{
    model::{Attachment, Connection, HostDevice, LagLink, Lan, Link, Mode, Profile, Ref},
    problem::{Code, Report, Span},
    raw::{self, At, Document, items},
    secret::SecretSource,
};

pub(super) fn check(
    document: &Document,
    names: &Names<'_>,
    secrets: &dyn SecretSource,
    report: &mut Report,
) -> Option<Vec<Connection>> {
    overlap::attachments(document, names, report);
    overlap::lans(document, names, report);
    let build = |connection: &At<raw::Connection>| one(&connection.value, (document, names, secrets), report);
    items(&document.connection).iter().map(build).collect::<Vec<_>>().into_iter().collect()
}

fn one(
    connection: &raw::Connection,
    (document, names, secrets): (&Document, &Names<'_>, &dyn SecretSource),
    report: &mut Report,
) -> Option<Connection> {
    let context = Context { document, names, connection };
    let mut subnets = Subnets::default();
    let attachments = context.attachments(&mut subnets, report);
    let lans = context.lans(&mut subnets, report);
    if connection.mode() == Mode::Transparent {
        transparent::check(connection, report);
    }
    let profile = profile_of(document, names, connection.interconnect.as_ref());
    protection::check(connection, profile, report);
    let quality = quality::check(connection, secrets, report);
    let routes = route::check(connection, &subnets, report);
    let bgp = bgp::check(connection, profile, secrets, report);
    let interconnect = connection.interconnect.as_ref().and_then(|name| names.interconnect(name, report));
    Some(Connection {
        name: given(connection.name.as_ref())?,
        interconnect: interconnect?,
        mode: connection.mode(),
        protection: connection.protection(),
        standby: protection::standby(connection),
        duplicate: protection::duplicate(connection),
        rate: given(connection.rate.as_ref()),
        quality,
        mss_clamp: connection.mss_clamp(),
        attachments: attachments?,
        lans: lans?,
        routes: routes?,
        bgp: bgp.as_ref()?.bgp.clone(),
        policies: bgp.as_ref()?.policies.clone(),
        neighbors: bgp?.neighbors,
    })
}

struct Context<'c> {
    document: &'c Document,
    names: &'c Names<'c>,
    connection: &'c raw::Connection,
}

impl Context<'_> {
    fn attachments(&self, subnets: &mut Subnets, report: &mut Report) -> Option<Vec<Attachment>> {
        let list = items(&self.connection.attachment);
        if list.is_empty() && !self.connection.is_wrong("attachment") {
            let name = self.connection.name.as_ref();
            let message = format!("connection `{}` has no attachment", name.map_or("", |at| &at.value));
            report
                .add(Code::NoAttachment, self.connection.here, message)
                .help("add [[connection.attachment]] with the channel or LAG it uses");
        }
        let profile = profile_of(self.document, self.names, self.connection.interconnect.as_ref());
        let build = |at: &At<raw::Attachment>| self.attachment(&at.value, profile, subnets, report);
        list.iter().map(build).collect::<Vec<_>>().into_iter().collect()
    }

    fn attachment(
        &self,
        attachment: &raw::Attachment,
        profile: Profile,
        subnets: &mut Subnets,
        report: &mut Report,
    ) -> Option<Attachment> {
        let link = self.link(attachment, report);
        let raw_channel =
            link.as_ref().and_then(|at| items(&self.document.channel).get(at.channel().index()));
        let raw_channel = raw_channel.map(|at| &at.value);
        if let (Some(name), Some(channel)) = (attachment.link(), raw_channel) {
            self.same_interconnect(name, channel, report);
            self.source_mac(attachment, name, channel, report);
        }
        self.needs_address(&attachment.address, attachment.is_wrong("address"), attachment.here, report);
        subnets.add(&attachment.address, report);
        if !attachment.is_wrong("address") {
            address::peers(&attachment.address, &attachment.peer, report);
        }
        let mtu = mtu::attachment(attachment, raw_channel, classes::tags(self.connection), report);
        profile::attachment(attachment, profile, report);
        profile::needs_lacp(attachment, profile, report);
        Some(Attachment {
            link: link?,
            vlan: given(attachment.vlan.as_ref()),
            addresses: values(&attachment.address),
            peers: values(&attachment.peer),
            mtu,
            preference: attachment.preference(),
            mac: given(attachment.mac.as_ref()),
            host: host(attachment.host(), attachment.host_device.as_ref()),
            bfd: bgp::bfd(attachment, profile, report),
        })
    }

    /// What the attachment is on.
    fn link(&self, attachment: &raw::Attachment, report: &mut Report) -> Option<Link> {
        match (&attachment.channel, &attachment.lag) {
            (Some(channel), None) => self.names.channel(channel, report).map(Link::Channel),
            (None, Some(name)) => self.lag(attachment, name, report),
            (Some(channel), Some(lag)) => {
                report
                    .add(Code::LagOrChannel, lag.span, "an attachment is on a channel or on a LAG")
                    .also(channel.span, "the channel")
                    .help("remove one of the two");
                None
            }
            (None, None) => {
                if !attachment.is_wrong("channel") && !attachment.is_wrong("lag") {
                    report
                        .add(
                            Code::MissingKey,
                            attachment.here,
                            "an attachment is on a `channel` or on a `lag`, and this one names neither",
                        )
                        .help("add channel = \"ch1\", or lag = \"lag1\"");
                }
                None
            }
        }
    }

    fn lag(&self, attachment: &raw::Attachment, name: &At<String>, report: &mut Report) -> Option<Link> {
        if self.connection.mode() == Mode::Transparent && attachment.vlan.is_none() {
            report
                .add(
                    Code::LagWire,
                    name.span,
                    "an untagged wire takes every frame, and LAG and customer both speak LACP",
                )
                .help("give the attachment a `vlan`");
        }
        let lag: Ref<_> = self.names.lag(name, report)?;
        let raw = &items(&self.document.lag).get(lag.index())?.value;
        let first = items(&raw.members).first()?;
        let first = Ref::new(self.names.channels.place(&first.value)?, &first.value);
        Some(Link::Lag(LagLink { lag, first }))
    }

    fn lans(&self, subnets: &mut Subnets, report: &mut Report) -> Option<Vec<Lan>> {
        let build = |at: &At<raw::Lan>| {
            let lan = &at.value;
            let port = lan.port.as_ref().and_then(|name| self.names.port(name, report));
            self.needs_address(&lan.address, lan.is_wrong("address"), lan.here, report);
            subnets.add(&lan.address, report);
            let mtu = given(lan.mtu.as_ref());
            mtu::ipv6(&lan.address, mtu, super::span_of(lan.mtu.as_ref(), lan.here), report);
            Some(Lan {
                port: port?,
                vlan: given(lan.vlan.as_ref()),
                addresses: values(&lan.address),
                mtu,
                mac: given(lan.mac.as_ref()),
                host: host(lan.host(), lan.host_device.as_ref()),
                bfd: bgp::lan_bfd(self.connection, lan, report),
            })
        };
        items(&self.connection.lan).iter().map(build).collect::<Vec<_>>().into_iter().collect()
    }

    fn same_interconnect(&self, name: &At<String>, channel: &raw::Channel, report: &mut Report) {
        let (Some(ours), Some(theirs)) = (&self.connection.interconnect, &channel.interconnect) else {
            return;
        };
        if ours.value != theirs.value {
            let message = format!("channel `{}` belongs to interconnect `{}`", name.value, theirs.value);
            report
                .add(Code::ForeignChannel, name.span, message)
                .also(ours.span, "the connection's")
                .help("a connection crosses one interconnect: use its channels");
        }
    }

    /// The ES and SCB forms let receivers take the SCI from the source MAC address (802.1AE §9.5), so
    /// every frame must have the one address that it is made of.
    fn source_mac(
        &self,
        attachment: &raw::Attachment,
        name: &At<String>,
        channel: &raw::Channel,
        report: &mut Report,
    ) {
        let Some(macsec) = channel.macsec.as_ref().map(|at| &at.value) else { return };
        let form = macsec
            .end_station
            .as_ref()
            .filter(|at| at.value)
            .or_else(|| macsec.scb.as_ref().filter(|at| at.value));
        let Some(form) = form else { return };
        let (span, why) = match &attachment.mac {
            Some(mac) => (mac.span, "another source MAC address than the device's"),
            None if self.connection.mode() == Mode::Transparent => {
                (name.span, "the customer's source MAC addresses")
            }
            None => return,
        };
        report
            .add(
                Code::SciForm,
                span,
                format!("channel `{}` leaves the SCI out, which does not go with {why}", name.value),
            )
            .also(form.span, "here")
            .help("use include_sci = true on the channel instead of the short form");
    }

    fn needs_address(
        &self,
        addresses: &Option<At<Vec<At<net::IpNet>>>>,
        wrong: bool,
        here: Span,
        report: &mut Report,
    ) {
        if self.connection.mode() == Mode::Routed && items(addresses).is_empty() && !wrong {
            report
                .add(Code::NoAddress, here, "a routed connection needs our address on every interface")
                .help("add address = [\"169.254.10.1/30\"], or set mode = \"transparent\"");
        }
    }
}

fn host(wanted: bool, name: Option<&At<String>>) -> Option<HostDevice> {
    wanted.then(|| HostDevice { name: given(name) })
}
