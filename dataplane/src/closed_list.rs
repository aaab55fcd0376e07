//! Closed lists of reasons: one table makes the enum, the label that metrics and the CLI show, the text that explains
//! it, and counters with a place for each.

/// Makes an enum and its counters from a table. What is counted is said by the attributes; the table is the only place
/// where a reason is written.
macro_rules! closed_list {
    (
        $(#[$about_list:meta])* pub enum $List:ident {
            $($(#[doc = $doc:literal])+ $name:ident = $label:literal,)+
        }
        $(#[$about_counters:meta])* pub struct $Counters:ident;
    ) => {
        $(#[$about_list])*
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum $List {
            $($(#[doc = $doc])+ $name,)+
        }

        impl $List {
            /// All, in the order of the list.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The name in metrics, JSON and tables: stable, lower case.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$name => $label,)+ }
            }

            /// What it means and what to look at.
            pub const fn help(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+),)+ }
            }

            const fn index(self) -> usize {
                #[expect(clippy::as_conversions, reason = "the discriminants are 0..ALL.len()")]
                { self as usize }
            }
        }

        $(#[$about_counters])*
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub struct $Counters([u64; $List::ALL.len()]);

        impl Default for $Counters {
            fn default() -> Self {
                Self([0; $List::ALL.len()])
            }
        }

        impl $Counters {
            /// Counts one under `reason`.
            pub fn count(&mut self, reason: $List) {
                self.add(reason, 1);
            }

            /// Counts `more` under `reason`.
            pub fn add(&mut self, reason: $List, more: u64) {
                if let Some(count) = self.0.get_mut(reason.index()) {
                    *count += more;
                }
            }

            /// How many were counted under `reason`.
            pub fn of(&self, reason: $List) -> u64 {
                self.0.get(reason.index()).copied().unwrap_or(0)
            }

            /// Each reason with its count, zeros included.
            pub fn iter(&self) -> impl Iterator<Item = ($List, u64)> + '_ {
                $List::ALL.iter().map(|&reason| (reason, self.of(reason)))
            }

            /// All that was counted.
            pub fn total(&self) -> u64 {
                self.0.iter().sum()
            }
        }
    };
}

pub(crate) use closed_list;
