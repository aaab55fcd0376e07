//! `[connection.quality]`.

use super::{
    kinds::{Int, texts},
    macsec::KeyPlace,
    section::{section, words},
    time::{Lasting, Period},
};

section! {
    /// How good each attachment's path is, measured inside the ciphertext (STAMP, RFC 8762), and what follows from it.
    pub(crate) Quality = "[connection.quality]" {
        /// Time between probes.
        interval: Lasting<10, 1000> => default(Period::millis(50));
        /// A reply that takes longer is a lost one.
        timeout: Lasting<10, 1000> => default(Period::millis(500));
        /// More lost probes than this, both ways together, make a path bad. Default: 2%.
        loss: Percent => optional;
        /// A mean round trip longer than this does. Default: any is good.
        delay: Lasting<1, 1000> => optional;
        /// A mean delay variation, in the worse direction, above this does. Default: any is good.
        jitter: Lasting<1, 1000> => optional;
        /// Seconds, taken together, that make a path bad.
        leave_after: Int<u8, 1, 64> => default(3);
        /// Seconds, taken together, that make it good again.
        return_after: Int<u8, 1, 64> => default(10);
        /// How much of each threshold it must stay within for that, in percent.
        return_within: Int<u8, 0, 100> => default(50);
        /// What a bad path means.
        action: QualityAction => default(QualityAction::Leave);
        /// Where the key of authenticated mode is, which both ends share. Default: none, MACsec protects the probes already.
        key: KeyPlace => optional;
    }
}

words! {
    /// What a path of bad quality means.
    pub enum QualityAction {
        /// Traffic leaves it while a better one lives.
        Leave = "leave",
        /// It is told, and nothing else.
        Report = "report",
    }
}

texts! {
    /// A share.
    Percent: u32 = "\"2%\"", ppm;
}

/// Parts per million.
fn ppm(text: &str) -> Result<u32, String> {
    const RULE: &str = "is not a share: a number up to 100 with at most four decimals, and a percent sign";
    let number = text.strip_suffix('%').ok_or(RULE)?.trim_end();
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|octet| octet.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(decimals) || decimals.len() > 4 || number.ends_with('.')
    {
        return Err(RULE.into());
    }
    let whole: u32 = whole.parse().map_err(|_| RULE)?;
    let parts: u32 = format!("{decimals:0<4}").parse().map_err(|_| RULE)?;
    let ppm = whole.checked_mul(10_000).and_then(|whole| whole.checked_add(parts));
    ppm.filter(|ppm| *ppm <= 1_000_000).ok_or_else(|| RULE.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_read_exactly() {
        for (text, right) in
            [("2%", 20_000), ("0.5%", 5000), ("0.0001 %", 1), ("100%", 1_000_000), ("12.3456%", 123_456)]
        {
            assert_eq!(ppm(text), Ok(right), "{text}");
        }
        for wrong in ["2", "%", ".5%", "2.%", "100.0001%", "-1%", "1e1%", "0.00001%", "99999999999%", ""] {
            assert!(ppm(wrong).is_err(), "{wrong}");
        }
    }
}
