//! placeholder line, replaced before anything lands
