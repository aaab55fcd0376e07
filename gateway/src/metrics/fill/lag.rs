//! LAGs and their members.

use super::m;
use crate::{api::model, metrics::page::Page};

pub(super) fn lags(page: &mut Page, lags: &[model::Lag]) {
    for lag in lags {
        let name = lag.name.as_str();
        page.info(&m::LAG, &[name, &lag.mode, &lag.timers]);
        page.whole(&m::LAG_MIN_LINKS, &[name], u64::from(lag.min_links));
        if lag.state == model::ChannelState::Unknown {
            continue;
        }
        page.flag(&m::LAG_UP, &[name], lag.state == model::ChannelState::Live);
        page.size(&m::LAG_DISTRIBUTING, &[name], lag.distributing);
        for member in &lag.members {
            let labels = [name, member.channel.as_str()];
            page.flag(&m::LAG_MEMBER_DISTRIBUTING, &labels, member.distributing);
            page.flag(&m::LAG_MEMBER_COLLECTING, &labels, member.collecting);
            page.flag(&m::LAG_MEMBER_CHURN, &[name, &member.channel, "actor"], member.actor_churn);
            page.flag(&m::LAG_MEMBER_CHURN, &[name, &member.channel, "partner"], member.partner_churn);
            for (kind, count) in &member.counters {
                page.count(&m::LAG_MEMBER_PDUS, &[name, &member.channel, kind], *count);
            }
        }
    }
}
