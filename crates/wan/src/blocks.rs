//! The blocks of a network, one after the other: nearly all of its weights.
//!
//! Where those are more than memory they are streamed. Weights are read in their mapped file as they are stored, so that a block that
//! is not computed with needs no memory: while one is, the pages of the next are asked for, and its own are let go of after it. A network
//! that fits stays in memory; a block whose matrices were copied (rounded, or merged with a LoRA) does in any case.

use std::ops::Deref;
use std::thread;

use kinora_tensor::checkpoint::Pages;

use crate::weights::Weights;
use crate::weights::WeightsError;

/// Where the weights of blocks are between two uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Placement {
    /// In memory, once they were read.
    #[default]
    Resident,
    /// In their files.
    Streamed,
}

/// See the file's head.
pub(crate) struct Blocks<B> {
    blocks: Vec<B>,
    /// The pages of each, where they are streamed.
    pages: Option<Vec<Pages>>,
}

/// A block while it is computed with.
pub(crate) struct Entered<'a, B> {
    block: &'a B,
    pages: Option<&'a Pages>,
}

impl<B> Blocks<B> {
    /// Builds `name.0` and so on.
    pub(crate) fn load(
        w: &Weights,
        name: &str,
        count: usize,
        load: impl Fn(&Weights) -> Result<B, WeightsError>,
    ) -> Result<Self, WeightsError> {
        let (mut blocks, mut pages) = (Vec::new(), Vec::new());
        for index in 0..count {
            let (block, of_block) = w.block(&format!("{name}.{index}"), &load)?;
            blocks.push(block);
            pages.push(of_block);
        }
        let is_streamed = w.placement() == Placement::Streamed;
        Ok(Self {
            blocks,
            pages: is_streamed.then_some(pages),
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.blocks.len()
    }

    /// The block `index`, to be computed with; after it the next one is going to be, and after the last the first.
    pub(crate) fn enter(&self, index: usize) -> Entered<'_, B> {
        if let Some(pages) = &self.pages {
            let next = pages[(index + 1) % pages.len()].clone();
            // Asking may take as long as reading. Where there is no thread for it, pages come when they are touched.
            drop(thread::Builder::new().spawn(move || next.ask()));
        }
        Entered {
            block: &self.blocks[index],
            pages: self.pages.as_ref().map(|pages| &pages[index]),
        }
    }

    /// All of them in turn.
    pub(crate) fn each(&self) -> impl Iterator<Item = Entered<'_, B>> {
        (0..self.len()).map(|index| self.enter(index))
    }
}

impl<B> Deref for Entered<'_, B> {
    type Target = B;

    fn deref(&self) -> &B {
        self.block
    }
}

impl<B> Drop for Entered<'_, B> {
    fn drop(&mut self) {
        if let Some(pages) = self.pages {
            pages.let_go();
        }
    }
}
