//! Batches: one dynamic call into the AEAD for up to [`MAX_RUN`] frames, with the results of one by one.
//!
//! Protection prepares a run of frames, seals them together, then counts. Validation collects a run of
//! frames of one SA. Two things could make its results differ from one by one, and do not: a frame that an
//! earlier one of its run makes late is found by the second replay check; and a run ends before a frame
//! whose recovered packet number (XPN) would depend on whether the frames before it are valid.

use arrayvec::ArrayVec;
use net::PacketBuf;

use crate::aead::{IcvValid, OpenJob, SealJob};

use super::{
    Protected, RxVerdict, SecY, TxRefusal, ValidateFrames,
    rx::{Candidate, Place},
    tx::Ready,
};

/// Frames that share one call into the AEAD.
pub const MAX_RUN: usize = 64;

impl SecY {
    /// [`protect`](Self::protect) for each of `frames` in order; `verdicts` gets what it would return.
    ///
    /// # Panics
    /// When the two slices differ in length, for frames without verdict would be sent in clear.
    pub fn protect_batch<F: AsMut<PacketBuf>>(
        &mut self,
        frames: &mut [F],
        verdicts: &mut [Result<Protected, TxRefusal>],
    ) {
        assert_eq!(frames.len(), verdicts.len(), "every frame has a verdict");
        for (frames, verdicts) in frames.chunks_mut(MAX_RUN).zip(verdicts.chunks_mut(MAX_RUN)) {
            self.protect_run(frames, verdicts);
        }
    }

    fn protect_run<F: AsMut<PacketBuf>>(
        &mut self,
        frames: &mut [F],
        verdicts: &mut [Result<Protected, TxRefusal>],
    ) {
        let Self { policy, transmit, counters, .. } = self;
        let Some((sa, out)) = transmit.outgoing(policy) else {
            for (frame, verdict) in frames.iter_mut().zip(verdicts) {
                *verdict = self.protect(frame.as_mut());
            }
            return;
        };
        let mut run: ArrayVec<Result<Ready, TxRefusal>, MAX_RUN> =
            frames.iter_mut().map(|frame| sa.prepare(frame.as_mut(), &out, counters)).collect();
        let mut jobs: ArrayVec<SealJob<'_>, MAX_RUN> = ArrayVec::new();
        for (frame, ready) in frames.iter_mut().zip(&mut run) {
            match ready.as_ref().ok().map(|ready| sa.job(frame.as_mut(), ready)) {
                Some(Some(job)) => jobs.push(job),
                Some(None) => *ready = Err(TxRefusal::Cipher),
                None => {}
            }
        }
        sa.keyed.aead.seal_batch(&mut jobs);
        let mut jobs = jobs.iter();
        for (ready, verdict) in run.into_iter().zip(verdicts) {
            *verdict = ready.and_then(|ready| {
                let sealed = jobs.next().is_some_and(|job| job.sealed);
                sa.conclude(&ready, sealed, counters)
            });
        }
    }

    /// [`validate`](Self::validate) for each of `frames` in order; `verdicts` gets what it would return.
    ///
    /// # Panics
    /// When the two slices differ in length.
    pub fn validate_batch<F: AsMut<PacketBuf>>(&mut self, frames: &mut [F], verdicts: &mut [RxVerdict]) {
        assert_eq!(frames.len(), verdicts.len(), "every frame has a verdict");
        let (mut frames, mut verdicts) = (frames, verdicts);
        while !frames.is_empty() {
            let mut done = self.validate_run(frames, verdicts);
            // A run takes at least one frame; were it not so, this would still make way.
            if done == 0
                && let (Some(frame), Some(verdict)) = (frames.first_mut(), verdicts.first_mut())
            {
                *verdict = self.validate(frame.as_mut());
                done = 1;
            }
            frames = frames.split_at_mut_checked(done).map_or(&mut [], |(_, rest)| rest);
            verdicts = verdicts.split_at_mut_checked(done).map_or(&mut [], |(_, rest)| rest);
        }
    }

    /// Validates a run from the front of `frames` and returns its length.
    fn validate_run<F: AsMut<PacketBuf>>(&mut self, frames: &mut [F], verdicts: &mut [RxVerdict]) -> usize {
        let mut run = Run::default();
        for (frame, verdict) in frames.iter_mut().zip(verdicts.iter_mut()).take(MAX_RUN) {
            match self.collect(frame.as_mut(), &mut run) {
                Step::Join(candidate) => {
                    run.members.push(Member { candidate: Some(candidate), opened: false });
                }
                Step::Done(done) => {
                    *verdict = done;
                    run.members.push(Member::default());
                }
                Step::Stop => break,
            }
        }
        let taken = run.members.len();
        self.conclude_run(&mut run, frames, verdicts);
        taken
    }

    #[inline]
    fn collect(&mut self, frame: &mut PacketBuf, run: &mut Run) -> Step {
        let (place, tag) = match self.receive.classify(frame, self.policy.validate, &mut self.counters) {
            Ok(found) => found,
            Err(verdict) => return Step::Done(verdict),
        };
        if run.place.is_some_and(|other| other != place) {
            return Step::Stop;
        }
        let Some(sa) = self.receive.sa_mut(place) else { return Step::Stop };
        let pn = sa.pn(tag.pn);
        if sa.keyed.xpn && sa.window.recover_after(run.highest, tag.pn) != pn {
            return Step::Stop;
        }
        match sa.admit(&tag, pn, &self.policy) {
            Ok(candidate) => {
                run.place = Some(place);
                run.highest = run.highest.max(pn);
                Step::Join(candidate)
            }
            Err(verdict) => Step::Done(verdict),
        }
    }

    fn conclude_run<F: AsMut<PacketBuf>>(
        &mut self,
        run: &mut Run,
        frames: &mut [F],
        verdicts: &mut [RxVerdict],
    ) {
        let Some(sa) = run.place.and_then(|place| self.receive.sa_mut(place)) else { return };
        let mut proofs: ArrayVec<Option<IcvValid>, MAX_RUN> = ArrayVec::new();
        if self.policy.validate != ValidateFrames::Disabled {
            let mut jobs: ArrayVec<OpenJob<'_>, MAX_RUN> = ArrayVec::new();
            for (frame, member) in frames.iter_mut().zip(run.members.iter_mut()) {
                member.opened = match &member.candidate {
                    Some(candidate) => sa.job(frame.as_mut(), candidate).map(|job| jobs.push(job)).is_some(),
                    None => false,
                };
            }
            sa.keyed.aead.open_batch(&mut jobs);
            proofs.extend(jobs.iter().map(OpenJob::proof));
        }
        let mut proofs = proofs.into_iter();
        for ((frame, member), verdict) in frames.iter_mut().zip(&run.members).zip(verdicts) {
            if let Some(candidate) = &member.candidate {
                let proof = if member.opened { proofs.next().flatten() } else { None };
                let frame = frame.as_mut();
                *verdict = sa.conclude(frame, candidate, proof, &self.policy, &mut self.counters);
            }
        }
    }
}

/// Frames that will be opened together, and between them frames that are done already.
#[derive(Default)]
struct Run {
    place: Option<Place>,
    members: ArrayVec<Member, MAX_RUN>,
    /// The highest packet number in it: where the window will be if all its frames are valid.
    highest: u64,
}

#[derive(Default)]
struct Member {
    /// `None` when the frame is done already.
    candidate: Option<Candidate>,
    /// The AEAD got it: the next proof is about it.
    opened: bool,
}

enum Step {
    Join(Candidate),
    Done(RxVerdict),
    /// It must wait for the run to be concluded.
    Stop,
}
