//! As much of the zip format as PyTorch's files need: entries that are stored, not compressed, found through the central directory.
//! Nothing is copied: an entry is a range of the file.

use std::collections::HashMap;
use std::ops::Range;

use super::torch_zip::TorchError;

const END: u32 = 0x0605_4b50;
const END_64: u32 = 0x0606_4b50;
const END_64_LOCATOR: u32 = 0x0706_4b50;
const DIRECTORY_ENTRY: u32 = 0x0201_4b50;
const LOCAL_ENTRY: u32 = 0x0403_4b50;

/// The comment after the directory is at most this long, and ends the file.
const COMMENT_MAX: usize = u16::MAX as usize;
const END_BYTES: usize = 22;

/// The entries of an archive by name, each as its place in the file.
pub(super) fn entries(file: &[u8]) -> Result<HashMap<&str, Range<usize>>, TorchError> {
    let (mut at, count) = directory(file).ok_or(TorchError::Zip("it has no central directory"))?;
    let mut entries = HashMap::new();
    for _ in 0..count {
        let entry =
            Entry::read(file, at).ok_or(TorchError::Zip("its central directory is cut or damaged"))?;
        if entry.is_packed {
            return Err(TorchError::Zip("it holds a compressed or encrypted entry"));
        }
        let place = entry.place(file);
        let place = place.ok_or(TorchError::Zip("an entry leaves the file"))?;
        if entries.insert(entry.name, place).is_some() {
            return Err(TorchError::Zip("it holds two entries of one name"));
        }
        at = entry.end;
    }
    Ok(entries)
}

/// Where the central directory starts, and how many entries it has.
fn directory(file: &[u8]) -> Option<(usize, u64)> {
    let last = file.len().checked_sub(END_BYTES)?;
    let first = last.saturating_sub(COMMENT_MAX);
    let is_end = |&at: &usize| {
        let comment = u16_at(file, at + 20).map(usize::from);
        u32_at(file, at) == Some(END) && comment == Some(last - at)
    };
    let end = (first..=last).rev().find(is_end)?;
    let (count, start) = (u16_at(file, end + 10)?, u32_at(file, end + 16)?);
    let locator = end.checked_sub(20);
    let locator = locator.filter(|&locator| u32_at(file, locator) == Some(END_64_LOCATOR));
    let Some(locator) = locator else {
        return Some((start as usize, count.into()));
    };
    let end_64 = usize::try_from(u64_at(file, locator + 8)?).ok()?;
    if u32_at(file, end_64)? != END_64 {
        return None;
    }
    let start = u64_at(file, end_64.checked_add(48)?)?;
    Some((
        usize::try_from(start).ok()?,
        u64_at(file, end_64.checked_add(32)?)?,
    ))
}

struct Entry<'a> {
    name: &'a str,
    is_packed: bool,
    bytes: u64,
    /// Where its own header is.
    local: u64,
    /// Where the next entry of the directory is.
    end: usize,
}

impl<'a> Entry<'a> {
    fn read(file: &'a [u8], at: usize) -> Option<Self> {
        const FIXED: usize = 46;
        let header = file.get(at..at.checked_add(FIXED)?)?;
        if u32_at(header, 0)? != DIRECTORY_ENTRY {
            return None;
        }
        let length = |at| u16_at(header, at).map(usize::from);
        let (name, extra, comment) = (length(28)?, length(30)?, length(32)?);
        let name_start = at + FIXED;
        let extra_start = name_start + name;
        let flags = u16_at(header, 8)?;
        let method = u16_at(header, 10)?;
        let [packed, bytes, local] = [20, 24, 42].map(|at| u32_at(header, at));
        let mut fields = [u64::from(bytes?), u64::from(packed?), u64::from(local?)];
        let extras = file.get(extra_start..extra_start.checked_add(extra)?)?;
        widen(extras, &mut fields)?;
        let [bytes, packed, local] = fields;
        Some(Self {
            name: std::str::from_utf8(file.get(name_start..extra_start)?).ok()?,
            is_packed: method != 0 || flags & 1 != 0 || bytes != packed,
            bytes,
            local,
            end: extra_start + extra + comment,
        })
    }

    /// The entry's bytes, which start after a header of its own.
    fn place(&self, file: &[u8]) -> Option<Range<usize>> {
        let local = usize::try_from(self.local).ok()?;
        if u32_at(file, local)? != LOCAL_ENTRY {
            return None;
        }
        let (name, extra) = (u16_at(file, local + 26)?, u16_at(file, local + 28)?);
        let start = local + 30 + usize::from(name) + usize::from(extra);
        let end = start.checked_add(usize::try_from(self.bytes).ok()?)?;
        (end <= file.len()).then_some(start..end)
    }
}

/// Fields that are all ones stand, in this order, in the extra field 1.
fn widen(mut extras: &[u8], fields: &mut [u64; 3]) -> Option<()> {
    while extras.len() >= 4 {
        let (id, length) = (u16_at(extras, 0)?, usize::from(u16_at(extras, 2)?));
        let (field, rest) = extras[4..].split_at_checked(length)?;
        if id == 1 {
            let mut at = 0;
            for wide in fields.iter_mut().filter(|wide| **wide == u64::from(u32::MAX)) {
                *wide = u64_at(field, at)?;
                at += 8;
            }
            return Some(());
        }
        extras = rest;
    }
    Some(())
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().copied().map(u64::from_le_bytes)
}
