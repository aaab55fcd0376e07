//! `[[connection.policy]]`: each name once, every policy used.

use std::collections::BTreeMap;

use super::super::{given, values};
use crate::{
    model::{RoutePolicy, Rule},
    problem::{Code, Report, Span},
    raw::{self, At, items},
};

/// All policies of a connection; `None` after a finding.
pub(super) fn check(connection: &raw::Connection, report: &mut Report) -> Option<Vec<RoutePolicy>> {
    let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
    for At { value: policy, .. } in items(&connection.policy) {
        let Some(name) = &policy.name else { continue };
        if matches!(name.value.as_str(), "accept" | "refuse") {
            report
                .add(
                    Code::DuplicateName,
                    name.span,
                    format!("`{}` is a policy that is always there", name.value),
                )
                .help("give the policy another name");
        }
        if let Some(first) = seen.insert(&name.value, name.span) {
            report
                .add(Code::DuplicateName, name.span, format!("two policies are called `{}`", name.value))
                .also(first, "first here")
                .help("give each a name of its own");
        }
        unused(connection, name, report);
    }
    let build = |at: &At<raw::RoutePolicy>| {
        let policy = &at.value;
        let rules = items(&policy.rule).iter().enumerate().map(|(at, one)| rule(at, &one.value)).collect();
        Some(RoutePolicy { name: given(policy.name.as_ref())?, otherwise: policy.otherwise(), rules })
    };
    items(&connection.policy).iter().map(build).collect::<Vec<_>>().into_iter().collect()
}

fn unused(connection: &raw::Connection, name: &At<String>, report: &mut Report) {
    let named = |field: &Option<At<String>>| field.as_ref().is_some_and(|at| at.value == name.value);
    let used = |at: &At<raw::Neighbor>| named(&at.value.import) || named(&at.value.export);
    if !connection.is_wrong("neighbor") && !items(&connection.neighbor).iter().any(used) {
        report
            .add(Code::UnusedPolicy, name.span, format!("no neighbour uses policy `{}`", name.value))
            .help(format!("write import = \"{0}\" or export = \"{0}\" at a neighbour", name.value));
    }
}

fn rule(at: usize, rule: &raw::Rule) -> Rule {
    Rule {
        name: given(rule.name.as_ref()).unwrap_or_else(|| format!("rule-{}", at + 1)),
        prefixes: rule.prefix.as_ref().map(|_| values(&rule.prefix)),
        communities: values(&rule.community),
        large_communities: values(&rule.large_community),
        from_as: given(rule.from_as.as_ref()),
        origin_as: given(rule.origin_as.as_ref()),
        contains_as: given(rule.contains_as.as_ref()),
        source: given(rule.source.as_ref()),
        origin: given(rule.origin.as_ref()),
        action: rule.action(),
        local_pref: given(rule.local_pref.as_ref()),
        med: given(rule.med.as_ref()),
        prepend: rule.prepend(),
        set_origin: given(rule.set_origin.as_ref()),
        clear_communities: rule.clear_communities(),
        remove_communities: values(&rule.remove_community),
        add_communities: values(&rule.add_community),
        remove_large: values(&rule.remove_large_community),
        add_large: values(&rule.add_large_community),
    }
}
