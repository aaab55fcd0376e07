//! How people call things: the names of the configuration, by the ids of the dataplane.

use config::Config;
use dataplane::InterfaceId;

/// `connection/channel` (or `connection/LAG`) for an attachment, `connection/port` (or `connection/port.vlan`) for a LAN interface.
pub fn interface(config: &Config, id: InterfaceId) -> String {
    let mut at = id.index();
    for connection in &config.connections {
        let (attachments, lans) = (connection.attachments.len(), connection.lans.len());
        if let Some(attachment) = connection.attachments.get(at) {
            return format!("{}/{}", connection.name, attachment.link.name());
        }
        if let Some(lan) = at.checked_sub(attachments).and_then(|at| connection.lans.get(at)) {
            let vlan = lan.vlan.map_or_else(String::new, |vlan| format!(".{vlan}"));
            return format!("{}/{}{vlan}", connection.name, lan.port.name());
        }
        at -= attachments + lans;
    }
    format!("interface {}", id.0)
}

/// The channel or LAG of an attachment.
pub fn link(config: &Config, id: InterfaceId) -> Option<String> {
    let mut at = id.index();
    for connection in &config.connections {
        if let Some(attachment) = connection.attachments.get(at) {
            return Some(attachment.link.name().to_owned());
        }
        at = at.checked_sub(connection.attachments.len() + connection.lans.len())?;
    }
    None
}

/// The names of all interfaces, by their ids.
pub fn interfaces(config: &Config) -> Vec<String> {
    let count = config.connections.iter().map(|one| one.attachments.len() + one.lans.len()).sum();
    (0..count).map(|at| interface(config, InterfaceId::at(at))).collect()
}

/// The BGP neighbours of a connection: `connection/neighbour`.
pub fn neighbors(config: &Config, connection: usize) -> Vec<String> {
    let Some(connection) = config.connections.get(connection) else { return Vec::new() };
    connection.neighbors.iter().map(|neighbor| format!("{}/{}", connection.name, neighbor.name)).collect()
}
