//! How a clip that is longer than what a checkpoint makes at once is made: in segments, each of which goes on from the end of the
//! one before. All lengths are in frames of the checkpoint's own rate.

/// One run of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    /// Frames of this run, the known ones included; 4n + 1.
    pub(super) num_frames: usize,
    /// How many of them were there before: the last ones of what there is.
    pub(super) known: usize,
}

/// Known frames from which a motion can be gone on with.
const MOTION: usize = 5;

/// The runs that make `total` frames, of which `given` are there already, each at most `longest` frames. `known` says how many
/// frames a run of some length goes on from, where so many are there. The last one may make a few frames more than are needed,
/// because runs have lengths of 4n + 1.
pub(super) fn segments(
    total: usize,
    given: usize,
    longest: usize,
    known: impl Fn(usize, usize) -> usize,
) -> Vec<Segment> {
    let mut segments = Vec::new();
    let mut made = given;
    while made < total {
        let of_length = |num_frames| Segment {
            num_frames,
            known: if made == 0 { 0 } else { known(made, num_frames) },
        };
        let missing = total - made;
        // One frame shows no motion: two latent frames do, where the model sees that many.
        let enough = MOTION.min(of_length(longest).known);
        let segment = (5..longest)
            .step_by(4)
            .map(of_length)
            .find(|run| run.num_frames - run.known >= missing && run.known >= enough)
            .unwrap_or_else(|| of_length(longest));
        segments.push(segment);
        made += segment.num_frames - segment.known;
    }
    segments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_follow_each_other() {
        let half = |made: usize, num_frames: usize| (made.min(17).min(num_frames / 2) - 1) / 4 * 4 + 1;
        let check = |total, given, expected: &[(usize, usize)]| {
            let runs = segments(total, given, 41, half);
            let found: Vec<_> = runs.iter().map(|run| (run.num_frames, run.known)).collect();
            assert_eq!(found, expected, "{given} of {total}");
            let made: usize = runs.iter().map(|run| run.num_frames - run.known).sum();
            assert!(given + made >= total);
        };
        check(41, 0, &[(41, 0)]);
        check(40, 0, &[(41, 0)]);
        check(17, 0, &[(17, 0)]);
        check(2, 0, &[(5, 0)]);
        check(81, 0, &[(41, 0), (41, 17), (25, 9)]);
        check(121, 0, &[(41, 0), (41, 17), (41, 17), (41, 17), (13, 5)]);
        check(41, 17, &[(41, 17)]);
        check(41, 3, &[(41, 1)]);
        check(41, 16, &[(41, 13)]);
        check(41, 41, &[]);
        let last_only = segments(161, 0, 81, |_, _| 1);
        assert_eq!(last_only.len(), 2);
    }
}
