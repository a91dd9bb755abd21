//! The pickle of a state dict, read without running it. Of the format's machine only what builds names, numbers, tuples and
//! dictionaries is here; of the things a pickle may call, only those that make a tensor or an `OrderedDict`, and those are not called
//! but noted down. Everything else is refused by name.
//!
//! Values live in one list and refer to each other by index, so that nothing nests on our own stack; there are as many at most as
//! the pickle has bytes, and no more than [`VALUES_MAX`].

use std::collections::HashMap;

use super::stored::StoredType;
use super::torch_zip::TorchError;

/// A state dict of a thousand tensors takes some twenty thousand.
const VALUES_MAX: usize = 1 << 20;

/// A tensor as a pickle describes it.
#[derive(Debug, PartialEq)]
pub(super) struct Record<'a> {
    pub(super) name: &'a str,
    /// The entry of the archive that holds its storage.
    pub(super) key: &'a str,
    pub(super) stored: StoredType,
    /// Numbers of the storage.
    pub(super) storage: u64,
    /// Numbers of the storage before its first.
    pub(super) offset: u64,
    pub(super) shape: Vec<u64>,
    pub(super) strides: Vec<u64>,
}

/// The tensors of the state dict in a pickle.
pub(super) fn state_dict(pickle: &[u8]) -> Result<Vec<Record<'_>>, TorchError> {
    let mut machine = Machine {
        pickle,
        at: 0,
        values: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
    };
    let root = machine.run()?;
    machine.tensors(root)
}

type Id = u32;

enum Value<'a> {
    Nothing,
    Bool,
    Integer(i64),
    Float,
    Text(&'a str),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Callable(Callable),
    StorageClass(&'a str),
    Storage(Box<Storage<'a>>),
    Tensor(Box<Tensor>),
}

struct Storage<'a> {
    stored: StoredType,
    key: &'a str,
    len: u64,
}

struct Tensor {
    storage: Id,
    offset: u64,
    shape: Vec<u64>,
    strides: Vec<u64>,
}

#[derive(Clone, Copy)]
enum Callable {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
}

struct Machine<'a> {
    pickle: &'a [u8],
    at: usize,
    values: Vec<Value<'a>>,
    stack: Vec<Id>,
    /// Where on the stack the open tuples and dictionaries start.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl<'a> Machine<'a> {
    fn run(&mut self) -> Result<Id, TorchError> {
        loop {
            let opcode = self.byte()?;
            match opcode {
                0x80 => drop(self.byte()?),  // PROTO
                0x95 => drop(self.take(8)?), // FRAME
                b'.' => return self.pop(),   // STOP
                b'(' => self.marks.push(self.stack.len()),
                b'0' => drop(self.pop()?), // POP
                b'N' => self.push(Value::Nothing)?,
                0x88 | 0x89 => self.push(Value::Bool)?, // NEWTRUE, NEWFALSE
                b'J' => {
                    let number = i32::from_le_bytes(self.array()?);
                    self.push(Value::Integer(number.into()))?;
                }
                b'K' => {
                    let number = self.byte()?;
                    self.push(Value::Integer(number.into()))?;
                }
                b'M' => {
                    let number = u16::from_le_bytes(self.array()?);
                    self.push(Value::Integer(number.into()))?;
                }
                0x8a => self.long()?,
                b'G' => {
                    self.take(8)?;
                    self.push(Value::Float)?;
                }
                b'X' => {
                    let length = u32::from_le_bytes(self.array()?);
                    self.text(length as usize)?;
                }
                0x8c | b'U' => {
                    let length = self.byte()?;
                    self.text(length.into())?;
                }
                b')' => self.push(Value::Tuple(Vec::new()))?,
                0x85..=0x87 => {
                    let start = self.stack.len().checked_sub(usize::from(opcode - 0x84));
                    let items = self
                        .stack
                        .split_off(start.ok_or_else(|| self.broken("its stack is empty"))?);
                    self.push(Value::Tuple(items))?;
                }
                b't' => {
                    let items = self.since_mark()?;
                    self.push(Value::Tuple(items))?;
                }
                b']' => self.push(Value::List(Vec::new()))?,
                b'l' => {
                    let items = self.since_mark()?;
                    self.push(Value::List(items))?;
                }
                b'a' => {
                    let item = self.pop()?;
                    self.extend(&[item])?;
                }
                b'e' => {
                    let items = self.since_mark()?;
                    self.extend(&items)?;
                }
                b'}' => self.push(Value::Dict(Vec::new()))?,
                b'd' => {
                    let items = self.since_mark()?;
                    self.push(Value::Dict(Vec::new()))?;
                    self.set_items(&items)?;
                }
                b's' => {
                    let (value, key) = (self.pop()?, self.pop()?);
                    self.set_items(&[key, value])?;
                }
                b'u' => {
                    let items = self.since_mark()?;
                    self.set_items(&items)?;
                }
                b'q' => {
                    let slot = self.byte()?;
                    self.remember(slot.into())?;
                }
                b'r' => {
                    let slot = u32::from_le_bytes(self.array()?);
                    self.remember(slot)?;
                }
                0x94 => self.remember(self.memo.len() as u32)?,
                b'h' => {
                    let slot = self.byte()?;
                    self.recall(slot.into())?;
                }
                b'j' => {
                    let slot = u32::from_le_bytes(self.array()?);
                    self.recall(slot)?;
                }
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.global(module, name)?;
                }
                0x93 => {
                    let (name, module) = (self.pop()?, self.pop()?);
                    let (module, name) = (self.as_text(module)?, self.as_text(name)?);
                    self.global(module, name)?;
                }
                b'Q' => self.persistent()?,
                b'R' => self.reduce()?,
                b'b' => self.build()?,
                other => {
                    return Err(TorchError::Opcode {
                        opcode: other,
                        at: self.at - 1,
                    });
                }
            }
        }
    }

    /// What may be named, and nothing else.
    fn global(&mut self, module: &str, name: &'a str) -> Result<(), TorchError> {
        let value = match (module, name) {
            ("collections", "OrderedDict") => Value::Callable(Callable::OrderedDict),
            ("torch._utils", "_rebuild_tensor_v2") => Value::Callable(Callable::RebuildTensor),
            ("torch._utils", "_rebuild_parameter") => Value::Callable(Callable::RebuildParameter),
            ("torch", class) if StoredType::of_torch(class).is_some() => Value::StorageClass(class),
            _ => {
                return Err(TorchError::Global {
                    module: module.into(),
                    name: name.into(),
                });
            }
        };
        self.push(value)
    }

    /// `("storage", class, key, device, numbers)`.
    fn persistent(&mut self) -> Result<(), TorchError> {
        let id = self.pop()?;
        let [kind, class, key, _device, len] = *self.as_tuple(id)? else {
            return Err(self.broken("a persistent id is not that of a storage"));
        };
        let Value::StorageClass(class) = self.values[class as usize] else {
            return Err(self.broken("a storage has no class"));
        };
        let stored = StoredType::of_torch(class).ok_or_else(|| self.broken("a storage has no class"))?;
        if self.as_text(kind)? != "storage" {
            return Err(self.broken("a persistent id is not that of a storage"));
        }
        let (key, len) = (self.as_text(key)?, self.as_count(len)?);
        self.push(Value::Storage(Box::new(Storage { stored, key, len })))
    }

    fn reduce(&mut self) -> Result<(), TorchError> {
        let (arguments, callable) = (self.pop()?, self.pop()?);
        let Value::Callable(callable) = self.values[callable as usize] else {
            return Err(self.broken("it calls what is not callable"));
        };
        match (callable, self.as_tuple(arguments)?) {
            (Callable::OrderedDict, []) => self.push(Value::Dict(Vec::new())),
            (Callable::RebuildTensor, &[storage, offset, shape, strides, ..]) => {
                let tensor = Tensor {
                    storage,
                    offset: self.as_count(offset)?,
                    shape: self.as_counts(shape)?,
                    strides: self.as_counts(strides)?,
                };
                self.push(Value::Tensor(Box::new(tensor)))
            }
            (Callable::RebuildParameter, &[tensor, ..]) => {
                self.stack.push(tensor);
                Ok(())
            }
            _ => Err(self.broken("it calls with other arguments than torch.save does")),
        }
    }

    /// Attributes of an `OrderedDict` (the versions of a model's layers) are of no use here.
    fn build(&mut self) -> Result<(), TorchError> {
        let _state = self.pop()?;
        let object = self.pop()?;
        if !matches!(self.values[object as usize], Value::Dict(_)) {
            return Err(self.broken("it sets the state of something that is not a dictionary"));
        }
        self.stack.push(object);
        Ok(())
    }

    fn tensors(&self, root: Id) -> Result<Vec<Record<'a>>, TorchError> {
        let Value::Dict(items) = &self.values[root as usize] else {
            return Err(self.broken("it is not a dictionary of tensors"));
        };
        let mut records = Vec::new();
        for &(name, tensor) in items {
            let name = self.as_text(name)?;
            let Value::Tensor(tensor) = &self.values[tensor as usize] else {
                return Err(TorchError::NoTensor { name: name.into() });
            };
            let Value::Storage(storage) = &self.values[tensor.storage as usize] else {
                return Err(self.broken("a tensor has no storage"));
            };
            records.push(Record {
                name,
                key: storage.key,
                stored: storage.stored,
                storage: storage.len,
                offset: tensor.offset,
                shape: tensor.shape.clone(),
                strides: tensor.strides.clone(),
            });
        }
        Ok(records)
    }

    fn push(&mut self, value: Value<'a>) -> Result<(), TorchError> {
        if self.values.len() >= VALUES_MAX {
            return Err(self.broken("it makes more values than any state dict"));
        }
        self.stack.push(self.values.len() as Id);
        self.values.push(value);
        Ok(())
    }

    /// The topmost value; values below an open mark belong to who opened it.
    fn pop(&mut self) -> Result<Id, TorchError> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err(self.broken("its stack is empty"));
        }
        self.stack.pop().ok_or_else(|| self.broken("its stack is empty"))
    }

    fn since_mark(&mut self) -> Result<Vec<Id>, TorchError> {
        let mark = self.marks.pop().ok_or_else(|| self.broken("a mark is missing"))?;
        if mark > self.stack.len() {
            return Err(self.broken("a mark is missing"));
        }
        Ok(self.stack.split_off(mark))
    }

    fn extend(&mut self, items: &[Id]) -> Result<(), TorchError> {
        let list = self.stack.last().map(|&list| &mut self.values[list as usize]);
        let Some(Value::List(list)) = list else {
            return Err(self.broken("it appends to what is not a list"));
        };
        list.extend_from_slice(items);
        Ok(())
    }

    fn set_items(&mut self, items: &[Id]) -> Result<(), TorchError> {
        let dict = self.stack.last().map(|&dict| &mut self.values[dict as usize]);
        let (pairs, rest) = items.as_chunks::<2>();
        match dict {
            Some(Value::Dict(dict)) if rest.is_empty() => {
                dict.extend(pairs.iter().map(|&[key, value]| (key, value)));
                Ok(())
            }
            _ => Err(self.broken("it sets items of what is not a dictionary")),
        }
    }

    fn remember(&mut self, slot: u32) -> Result<(), TorchError> {
        let id = *self
            .stack
            .last()
            .ok_or_else(|| self.broken("its stack is empty"))?;
        self.memo.insert(slot, id);
        Ok(())
    }

    fn recall(&mut self, slot: u32) -> Result<(), TorchError> {
        let id = self.memo.get(&slot).copied();
        self.stack
            .push(id.ok_or_else(|| self.broken("it recalls what it never made"))?);
        Ok(())
    }

    /// An integer of up to eight bytes, two's complement.
    fn long(&mut self) -> Result<(), TorchError> {
        let length = usize::from(self.byte()?);
        let bytes = self.take(length)?;
        if length > 8 {
            return Err(self.broken("it holds a number beyond 64 bits"));
        }
        let fill = if bytes.last().is_some_and(|last| last & 0x80 != 0) {
            0xff
        } else {
            0
        };
        let mut wide = [fill; 8];
        wide[..length].copy_from_slice(bytes);
        self.push(Value::Integer(i64::from_le_bytes(wide)))
    }

    fn text(&mut self, length: usize) -> Result<(), TorchError> {
        let bytes = self.take(length)?;
        let text = std::str::from_utf8(bytes).map_err(|_| self.broken("a text is not UTF-8"))?;
        self.push(Value::Text(text))
    }

    fn line(&mut self) -> Result<&'a str, TorchError> {
        let rest = &self.pickle[self.at..];
        let end = rest.iter().take(256).position(|&byte| byte == b'\n');
        let line = self.take(end.ok_or_else(|| self.broken("a name has no end"))?)?;
        self.at += 1;
        std::str::from_utf8(line).map_err(|_| self.broken("a name is not UTF-8"))
    }

    fn byte(&mut self) -> Result<u8, TorchError> {
        Ok(self.array::<1>()?[0])
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], TorchError> {
        let bytes = self.take(N)?;
        Ok(std::array::from_fn(|i| bytes[i]))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], TorchError> {
        let taken = self.pickle[self.at..].get(..length);
        let taken = taken.ok_or_else(|| self.broken("it is cut"))?;
        self.at += length;
        Ok(taken)
    }

    fn as_text(&self, id: Id) -> Result<&'a str, TorchError> {
        match self.values[id as usize] {
            Value::Text(text) => Ok(text),
            _ => Err(self.broken("a name is not a text")),
        }
    }

    fn as_tuple(&self, id: Id) -> Result<&[Id], TorchError> {
        match &self.values[id as usize] {
            Value::Tuple(items) => Ok(items),
            _ => Err(self.broken("arguments are not a tuple")),
        }
    }

    fn as_count(&self, id: Id) -> Result<u64, TorchError> {
        match self.values[id as usize] {
            Value::Integer(number) => u64::try_from(number).map_err(|_| self.broken("an extent is negative")),
            _ => Err(self.broken("an extent is not a number")),
        }
    }

    fn as_counts(&self, id: Id) -> Result<Vec<u64>, TorchError> {
        let items = self.as_tuple(id)?;
        // More are refused when the shape is checked; a long tuple referred to often must not be copied often.
        if items.len() > 16 {
            return Err(self.broken("a tensor has more extents than any real one"));
        }
        items.iter().map(|&item| self.as_count(item)).collect()
    }

    fn broken(&self, what: &'static str) -> TorchError {
        TorchError::Pickle { what, at: self.at }
    }
}
