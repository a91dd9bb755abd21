//! Files that were tampered with: cut, with bytes changed, moved and repeated. Readers answer, promise nothing that is not in the file,
//! and ask for no more memory than the file's size allows. `KINORA_TWIN_CASES` is for kernels; here `PROPTEST_CASES` asks for more.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot read its fixture has failed"
)]

use std::alloc::GlobalAlloc;
use std::alloc::Layout;
use std::alloc::System;
use std::cell::Cell;
use std::path::PathBuf;

use kinora_tensor::checkpoint::gguf;
use kinora_tensor::checkpoint::safetensors;
use kinora_tensor::checkpoint::sentencepiece;
use kinora_tensor::checkpoint::torch_zip;
use proptest::prelude::*;

/// What a thread has in use, and the most it had.
struct Counting;

thread_local! {
    static IN_USE: Cell<usize> = const { Cell::new(0) };
    static MOST: Cell<usize> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call is the system's; counting touches no memory of the caller.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = IN_USE.get().saturating_add(layout.size());
        IN_USE.set(now);
        MOST.set(MOST.get().max(now));
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.set(IN_USE.get().saturating_sub(layout.size()));
        // SAFETY: the caller's promise, passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// The most bytes that were in use at once while `work` ran, beyond those before.
fn most_bytes<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = IN_USE.get();
    MOST.set(before);
    let done = work();
    (done, MOST.get() - before)
}

/// Every byte of a header may become a value, a name, an entry of a table: some tens of bytes for each, never more.
const BYTES_PER_BYTE: usize = 100;
const BYTES_ALWAYS: usize = 64 << 10;

fn fixture(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/formats");
    std::fs::read(folder.join(name)).unwrap()
}

/// One thing done to a file.
#[derive(Debug, Clone)]
enum Tampering {
    Cut(usize),
    Set(usize, u8),
    Flip(usize, u8),
    /// Eight bytes: counts and offsets are that long.
    Number(usize, u64),
    Repeat(usize, usize),
    Remove(usize, usize),
}

impl Tampering {
    fn apply(&self, file: &mut Vec<u8>) {
        // The upper half of all places counts from the end.
        let at = |place: usize| match place.checked_add(usize::MAX / 2) {
            Some(_) => place % file.len().max(1),
            None => file
                .len()
                .saturating_sub(1 + (usize::MAX - place) % file.len().max(1)),
        };
        match *self {
            Tampering::Cut(place) => file.truncate(at(place)),
            Tampering::Set(place, byte) => {
                let place = at(place);
                file[place..].iter_mut().take(1).for_each(|old| *old = byte);
            }
            Tampering::Flip(place, bit) => {
                let place = at(place);
                file[place..]
                    .iter_mut()
                    .take(1)
                    .for_each(|old| *old ^= 1 << (bit % 8));
            }
            Tampering::Number(place, number) => {
                let place = at(place);
                file[place..]
                    .iter_mut()
                    .zip(number.to_le_bytes())
                    .for_each(|(old, new)| *old = new);
            }
            Tampering::Repeat(place, len) => {
                let place = at(place);
                let part: Vec<u8> = file[place..].iter().take(len % 64).copied().collect();
                file.splice(place..place, part);
            }
            Tampering::Remove(place, len) => {
                let place = at(place);
                let end = (place + len % 64).min(file.len());
                file.drain(place..end);
            }
        }
    }
}

/// Most of it near the ends, where headers and directories are.
fn tampering() -> impl Strategy<Value = Tampering> {
    let place = prop_oneof![3 => 0..2000usize, 3 => (0..6000usize).prop_map(|back| usize::MAX - back), 1 => any::<usize>()];
    let number = prop_oneof![
        any::<u64>(),
        0..300u64,
        Just(u64::MAX),
        Just(1 << 63),
        Just(u64::from(u32::MAX))
    ];
    prop_oneof![
        place.clone().prop_map(Tampering::Cut),
        (place.clone(), any::<u8>()).prop_map(|(place, byte)| Tampering::Set(place, byte)),
        (place.clone(), any::<u8>()).prop_map(|(place, bit)| Tampering::Flip(place, bit)),
        (place.clone(), number).prop_map(|(place, number)| Tampering::Number(place, number)),
        (place.clone(), any::<usize>()).prop_map(|(place, len)| Tampering::Repeat(place, len)),
        (place, any::<usize>()).prop_map(|(place, len)| Tampering::Remove(place, len)),
    ]
}

/// Reads a file after it was tampered with.
fn read<E>(
    mut file: Vec<u8>,
    tampering: &[Tampering],
    parse: impl Fn(&[u8]) -> Result<Vec<safetensors::TensorHeader>, E>,
) {
    tampering.iter().for_each(|tampering| tampering.apply(&mut file));
    let (tensors, most) = most_bytes(|| parse(&file));
    let allowed = BYTES_ALWAYS + BYTES_PER_BYTE * file.len();
    assert!(most <= allowed, "{most} bytes for a file of {}", file.len());
    for tensor in tensors.into_iter().flatten() {
        assert!(
            file.get(tensor.bytes).is_some(),
            "{} leaves the file",
            tensor.name
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn safetensors_files(tampering in prop::collection::vec(tampering(), 1..6)) {
        read(fixture("loras/kohya.safetensors"), &tampering, safetensors::parse);
    }

    #[test]
    fn pytorch_files(tampering in prop::collection::vec(tampering(), 1..6)) {
        read(fixture("original/models_t5_umt5-xxl-enc-bf16.pth"), &tampering, torch_zip::parse);
    }

    #[test]
    fn gguf_files(tampering in prop::collection::vec(tampering(), 1..6)) {
        let file = fixture("gguf/umt5_tiny-Q8_0.gguf");
        read(file.clone(), &tampering, gguf::parse);
        read(file, &tampering, |file| gguf::vocabulary(file).map(|_| Vec::new()));
    }

    #[test]
    fn any_bytes(file in prop::collection::vec(any::<u8>(), 0..600)) {
        read(file.clone(), &[], safetensors::parse);
        read(file.clone(), &[], torch_zip::parse);
        read([b"GGUF\x03\0\0\0", file.as_slice()].concat(), &[], gguf::parse);
        read(file, &[], |file| sentencepiece::parse(file).map(|_| Vec::new()));
    }
}

/// The archive that PyTorch would make of this pickle and one storage of four bytes.
fn archive(pickle: &[u8]) -> Vec<u8> {
    archive_of(pickle, false)
}

/// The same; `is_wide` as it is made beyond four gigabytes, with every length and place in 64 bits.
fn archive_of(pickle: &[u8], is_wide: bool) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    let narrow = |number: usize| if is_wide { u32::MAX } else { number as u32 }.to_le_bytes();
    let entries: [(&str, &[u8]); 2] = [("a/data.pkl", pickle), ("a/data/0", &[0; 4])];
    for (name, data) in entries {
        let local = file.len();
        let (name_len, data_len) = ((name.len() as u16).to_le_bytes(), narrow(data.len()));
        let local_header = [
            b"PK\x03\x04",
            &[0; 14][..],
            &data_len,
            &data_len,
            &name_len,
            &[0; 2],
        ]
        .concat();
        file.extend([&local_header, name.as_bytes(), data].concat());
        let wide = [data.len(), data.len(), local]
            .map(|number| (number as u64).to_le_bytes())
            .concat();
        let extra = if is_wide {
            [&[1, 0, 24, 0], wide.as_slice()].concat()
        } else {
            Vec::new()
        };
        let extra_len = (extra.len() as u16).to_le_bytes();
        let header = [
            b"PK\x01\x02",
            &[0; 16][..],
            &data_len,
            &data_len,
            &name_len,
            &extra_len,
        ]
        .concat();
        directory.extend([&header, &[0; 10][..], &narrow(local), name.as_bytes(), &extra].concat());
    }
    let (start, len) = (file.len(), directory.len());
    file.extend(directory);
    if is_wide {
        let end = file.len();
        let numbers = [2, 2, len, start]
            .map(|number| (number as u64).to_le_bytes())
            .concat();
        file.extend([b"PK\x06\x06", &[0; 20][..], &numbers].concat());
        file.extend(
            [
                b"PK\x06\x07",
                &[0; 4][..],
                &(end as u64).to_le_bytes(),
                &[1, 0, 0, 0],
            ]
            .concat(),
        );
    }
    file.extend(
        [
            b"PK\x05\x06",
            &[0; 4][..],
            &[2, 0, 2, 0],
            &narrow(len),
            &narrow(start),
            &[0; 2],
        ]
        .concat(),
    );
    file
}

#[test]
fn pickles_are_read_and_never_run() {
    let check = |pickle: &[u8], expected: &str| {
        let said = match torch_zip::parse(&archive(pickle)) {
            Ok(tensors) => format!("{tensors:?}"),
            Err(error) => error.to_string(),
        };
        assert!(said.contains(expected), "{said}\nexpected: {expected}");
    };
    // What `torch.save({"x": torch.zeros(1)})` writes, piece by piece.
    let storage = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x01tQ";
    let tensor = |storage: &[u8], rest: &[u8]| {
        [
            b"\x80\x02}(X\x01\0\0\0xctorch._utils\n_rebuild_tensor_v2\n(",
            storage,
            rest,
            b"tRu.",
        ]
        .concat()
    };
    let sound = tensor(storage, b"K\0K\x01\x85K\x01\x85\x89}");
    check(&sound, "name: \"x\"");
    let (narrow, wide) = (archive(&sound), archive_of(&sound, true));
    let bytes = |file: &[u8]| file[torch_zip::parse(file).unwrap()[0].bytes.clone()].to_vec();
    assert_eq!(bytes(&wide), bytes(&narrow));
    check(
        &tensor(storage, b"K\x01K\x01\x85K\x01\x85\x89}"),
        "it leaves its storage",
    );
    check(
        &tensor(storage, b"K\0K\x02\x85K\x01\x85\x89}"),
        "it leaves its storage",
    );
    check(
        &tensor(storage, b"K\0K\x01K\x02\x86K\x02K\x01\x86\x89}"),
        "it leaves its storage",
    );
    check(
        &tensor(storage, b"K\0K\x01K\x01\x86K\x01\x85\x89}"),
        "do not lie one after the other",
    );
    check(
        &tensor(b"N", b"K\0K\x01\x85K\x01\x85\x89}"),
        "a tensor has no storage",
    );
    let long = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x02tQ";
    check(
        &tensor(long, b"K\0K\x01\x85K\x01\x85\x89}"),
        "its storage is not as long as the pickle says",
    );
    let absent = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x001X\x03\0\0\0cpuK\x01tQ";
    check(
        &tensor(absent, b"K\0K\x01\x85K\x01\x85\x89}"),
        "no entry \"a/data/1\"",
    );

    // What would run something.
    check(
        b"\x80\x02cos\nsystem\nX\x02\0\0\0ls\x85R.",
        "asks for os.system, which is not allowed",
    );
    check(b"\x80\x02cbuiltins\neval\n.", "asks for builtins.eval");
    check(
        b"\x80\x04\x8c\x05posix\x8c\x06system\x93.",
        "asks for posix.system",
    );
    check(b"\x80\x02ctorch\nload\n.", "asks for torch.load");
    check(b"\x80\x02ctorch\nFloatStorage\n)R.", "calls what is not callable");
    check(b"\x80\x02(S'ls'\nios\nsystem\n.", "the instruction 0x53");
    check(b"\x80\x02(ios\nsystem\n.", "the instruction 0x69");
    check(b"\x80\x02)\x81.", "the instruction 0x81");
    check(b"\x80\x02Pname\n.", "the instruction 0x50");
    check(
        b"\x80\x02ccollections\nOrderedDict\n}b.",
        "sets the state of something",
    );

    // What makes no sense.
    check(b"", "it is cut");
    check(b"\x80\x02}", "it is cut");
    check(b"\x80\x02.", "its stack is empty");
    check(b"\x80\x02(.", "its stack is empty");
    check(b"\x80\x02}u.", "a mark is missing");
    check(b"\x80\x02N.", "not a dictionary of tensors");
    check(b"\x80\x02}X\x01\0\0\0xK\x01s.", "\"x\" is not a tensor");
    check(b"\x80\x02h\x07.", "recalls what it never made");
    check(b"\x80\x02X\xff\xff\xff\xff.", "it is cut");
    check(b"\x80\x02\x8a\xff.", "it is cut");
    let deep = [b"\x80\x02)".as_slice(), &b"\x85".repeat(900_000), b"."].concat();
    check(&deep, "not a dictionary of tensors");
    let endless = [b"\x80\x02".as_slice(), &b")".repeat(1_100_000), b"."].concat();
    check(&endless, "more values than any state dict");
}

#[test]
fn archives_that_are_not_torchs_are_refused() {
    let whole = fixture("original/Wan2.1_VAE.pth");
    let check = |file: &[u8], expected: &str| {
        let said = torch_zip::parse(file).unwrap_err().to_string();
        assert!(said.contains(expected), "{said}\nexpected: {expected}");
    };
    check(b"PK\x03\x04", "no central directory");
    check(
        b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.",
        "no central directory",
    );
    check(&whole[..whole.len() - 1], "no central directory");
    let find = |wanted: &[u8]| {
        whole
            .windows(wanted.len())
            .position(|part| part == wanted)
            .unwrap()
    };
    let mut big_endian = whole.clone();
    let order = find(b"little");
    big_endian[order..order + 6].copy_from_slice(b"biggle");
    check(&big_endian, "not little-endian");
    let mut packed = whole.clone();
    let entry = find(b"PK\x01\x02");
    packed[entry + 10] = 8;
    check(&packed, "compressed or encrypted");
}
