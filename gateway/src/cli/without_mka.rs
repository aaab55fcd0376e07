//! `show mka` of channels that have none: why, and where that is written.

use bytes::Bytes;
use serde_json::Value;

use super::{
    args::{Global, Names},
    ask::{get, items, parse},
    choose::{keep, unknown},
    exit::Failure,
};
use crate::api::model::Channel;

/// Keeps the key agreements of the channels that `names` mean, and says of those without one why.
pub(super) fn choose(global: &Global, body: &Bytes, names: &Names) -> Result<(Bytes, Vec<String>), Failure> {
    if names.names.is_empty() {
        return Ok((body.clone(), Vec::new()));
    }
    let mut document: Value = parse(body)?;
    let Some(listed) = document.get_mut("items").and_then(Value::as_array_mut) else {
        return Ok((body.clone(), Vec::new()));
    };
    let missing = keep(listed, "channel", &names.names);
    if missing.is_empty() {
        return Ok((document.to_string().into(), Vec::new()));
    }
    let channels: Vec<Channel> = items(&get(&global.socket, "/v1/channels")?)?;
    let reasons = missing.into_iter().map(|name| reason(name, &channels)).collect::<Result<_, _>>()?;
    Ok((document.to_string().into(), reasons))
}

fn reason(name: &str, channels: &[Channel]) -> Result<String, Failure> {
    let Some(channel) = channels.iter().find(|channel| channel.name == name) else {
        let known: Vec<_> = channels.iter().map(|channel| channel.name.clone()).collect();
        return Err(unknown(name, &known));
    };
    Ok(if channel.macsec.policy == "off" {
        format!(
            "{name}: no key agreement, as it carries frames in clear: `policy = \"off\"` in its [channel.macsec]"
        )
    } else {
        format!(
            "{name}: no key agreement, as it has static keys: [channel.macsec.static] in the configuration. `quadspan show macsec {name}` has them; \
             [[channel.macsec.key]] in their place makes it agree on keys"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{self, testbed};

    #[test]
    fn a_channel_without_mka_is_there_and_says_why_it_has_none() {
        let mut channels = api::channels(&testbed::facts());
        channels[0].macsec.policy = "off".to_owned();
        let said = |name: &str| reason(name, &channels).map_err(|why| why.render(false));
        assert!(said("ch1").unwrap().contains("in clear: `policy = \"off\"`"));
        let static_keys = said("ch2").unwrap();
        assert!(static_keys.contains("[channel.macsec.static]") && static_keys.contains("show macsec ch2"));
        assert!(said("ch3").unwrap_err().contains("no `ch3` here"));
    }
}
