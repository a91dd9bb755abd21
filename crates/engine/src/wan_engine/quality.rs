//! How much of the exact result may be traded for time: one word for what single settings turn on.

/// A tier. Each but the first loses a bounded, measured part of the result (`docs/numerics.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Quality {
    /// Every step is computed.
    #[default]
    Exact,
    /// A loss that is hardly seen.
    Balanced,
    /// A loss that is seen where both are compared.
    Fast,
}

impl Quality {
    /// All of them, from the slowest to the quickest.
    pub const ALL: [Quality; 3] = [Quality::Exact, Quality::Balanced, Quality::Fast];

    /// The name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Quality::Exact => "exact",
            Quality::Balanced => "balanced",
            Quality::Fast => "fast",
        }
    }

    /// The threshold of step caching that it stands for; `None` computes every step.
    pub fn step_cache(self) -> Option<f32> {
        match self {
            Quality::Exact => None,
            Quality::Balanced => Some(0.1),
            Quality::Fast => Some(0.3),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::WanOptions, *};

    #[test]
    fn a_setting_goes_before_its_tier() {
        let check = |quality, step_cache, expected| {
            let options = WanOptions {
                quality,
                step_cache,
                ..WanOptions::default()
            };
            assert_eq!(options.step_cache(), expected, "{quality:?}");
        };
        check(Quality::Exact, None, None);
        check(Quality::Exact, Some(0.2), Some(0.2));
        check(Quality::Balanced, None, Some(0.1));
        check(Quality::Balanced, Some(0.2), Some(0.2));
        check(Quality::Fast, None, Some(0.3));
    }
}
