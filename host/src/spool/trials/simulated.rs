//! A disk in memory that fails when it is told to and forgets what was never synced when the power
//! is cut.
//!
//! What was written since the last sync of a file may be there after a cut, or not, or in part: each
//! write by itself, cut at the edge of a sector. What becomes of names is said beside them.

mod names;

use std::collections::HashSet;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;

use super::super::disk::Disk;
use crate::stable::File;
use names::Names;

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

/// What a file system gives room for at once.
const BLOCK: u64 = 4096;

/// Octets of the reserve.
const RESERVE: u64 = 256 << 10;

/// A source of numbers that looks random and is the same for the same seed.
#[derive(Clone, Debug)]
pub(in crate::spool) struct Dice(u64);

impl Dice {
    pub(in crate::spool) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `end`.
    pub(in crate::spool) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) % end
    }

    pub(in crate::spool) fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

/// Which operations fail.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::spool) struct Faults {
    /// One in so many writes and changes of length fails; none at 0.
    pub(in crate::spool) write: u64,
    /// One in so many syncs fails.
    pub(in crate::spool) sync: u64,
    /// One in so many reads fails.
    pub(in crate::spool) read: u64,
    /// One in so many operations on names fails.
    pub(in crate::spool) name: u64,
}

/// A disk.
#[derive(Clone, Debug)]
pub(crate) struct Simulated(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    files: Vec<Contents>,
    /// Of the database and its journal.
    standing: Names,
    /// Of contents.
    names: Names,
    dice: Dice,
    faults: Faults,
    /// Operations left until one fails.
    fault_in: Option<u64>,
    /// Whether it takes no writes.
    is_read_only: bool,
    operations: u64,
    /// Told when the power goes.
    out: Arc<Notify>,
    /// Operations left until the power is cut.
    power: Option<u64>,
    is_out: bool,
    /// Octets that fit; the files' holes take none.
    capacity: Option<u64>,
    /// Whether it tells how much room is left.
    tells_room: bool,
    has_reserve: bool,
}

#[derive(Clone, Debug, Default)]
struct Contents {
    now: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Writing>,
    blocks: HashSet<u64>,
}

#[derive(Clone, Debug)]
enum Writing {
    At(u64, Vec<u8>),
    Length(u64),
}

const DATABASE: &str = "database";
const NEW_DATABASE: &str = "database.new";
const JOURNAL: &str = "journal";

impl Simulated {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            files: Vec::new(),
            standing: Names::default(),
            names: Names::default(),
            dice: Dice::new(seed),
            faults: Faults::default(),
            fault_in: None,
            is_read_only: false,
            operations: 0,
            out: Arc::default(),
            power: None,
            is_out: false,
            capacity: None,
            tells_room: true,
            has_reserve: false,
        })))
    }

    pub(in crate::spool) fn set_faults(&self, faults: Faults) {
        self.state().faults = faults;
    }

    /// Takes no writes from now on, or takes them again.
    pub(in crate::spool) fn set_read_only(&self, is_read_only: bool) {
        self.state().is_read_only = is_read_only;
    }

    /// Makes one operation fail, after so many more.
    pub(in crate::spool) fn fail_once_after(&self, operations: u64) {
        self.state().fault_in = Some(operations);
    }

    /// Takes that back.
    pub(in crate::spool) fn fail_never(&self) {
        self.state().fault_in = None;
    }

    /// Whether the operation that was to fail once has not come yet.
    pub(in crate::spool) fn is_fault_ahead(&self) -> bool {
        self.state().fault_in.is_some()
    }

    /// Cuts the power after so many more operations.
    pub(crate) fn cut_power_after(&self, operations: u64) {
        self.state().power = Some(operations);
    }

    pub(crate) fn is_out(&self) -> bool {
        self.state().is_out
    }

    /// Waits until the power is cut.
    pub(crate) async fn goes_out(&self) {
        let out = Arc::clone(&self.state().out);
        while !self.is_out() {
            out.notified().await;
        }
    }

    /// How many operations there have been.
    pub(crate) fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Bounds what fits, and whether the disk tells how much is left of that.
    pub(in crate::spool) fn set_capacity(&self, octets: Option<u64>, tells_room: bool) {
        let mut state = self.state();
        state.capacity = octets;
        state.tells_room = tells_room;
    }

    pub(in crate::spool) fn octets_used(&self) -> u64 {
        self.state().used()
    }

    pub(crate) fn content_names(&self) -> Vec<String> {
        self.state().names.all()
    }

    /// What the next process finds when this one was killed: all that it wrote, holes in the files
    /// included.
    pub(crate) fn after_kill(&self) -> Self {
        let state = self.state();
        Self(Arc::new(Mutex::new(State {
            files: state.files.clone(),
            standing: state.standing.clone(),
            names: state.names.clone(),
            dice: state.dice.clone(),
            faults: Faults::default(),
            fault_in: None,
            is_read_only: false,
            operations: 0,
            out: Arc::default(),
            power: None,
            is_out: false,
            capacity: state.capacity,
            tells_room: state.tells_room,
            has_reserve: state.has_reserve,
        })))
    }

    /// What is there when the power is back.
    pub(crate) fn after_power_cut(&self) -> Self {
        let mut state = self.state();
        // A writer that is still there finds nothing any more.
        state.is_out = true;
        let mut dice = state.dice.clone();
        let names = state.names.after_power_cut(&mut dice);
        let standing = state.standing.after_power_cut(&mut dice);
        let mut files = std::mem::take(&mut state.files);
        for file in &mut files {
            file.lose_power(&mut dice);
        }
        Self(Arc::new(Mutex::new(State {
            files,
            standing,
            names,
            dice,
            faults: Faults::default(),
            fault_in: None,
            is_read_only: false,
            operations: 0,
            out: Arc::default(),
            power: None,
            is_out: false,
            capacity: state.capacity,
            tells_room: state.tells_room,
            has_reserve: state.has_reserve,
        })))
    }

    /// Damages the database: changes octets of it here and there.
    pub(in crate::spool) fn scratch(&self, places: u64) {
        let mut state = self.state();
        let database = state.standing.file(DATABASE).expect("it was made");
        let length = state.files[database].now.len() as u64;
        for _ in 0..places {
            let at = state.dice.below(length) as usize;
            state.files[database].now[at] ^= 0x55;
        }
        state.files[database].durable = state.files[database].now.clone();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0
            .lock()
            .expect("no test panics while it holds the disk")
    }

    /// The file of that name beside the contents, made when it does not exist.
    fn standing_file(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let mut state = self.state();
        let times = state.faults.name;
        state.operate_writing(times)?;
        let index = match state.standing.file(name) {
            Some(index) => index,
            None => {
                let index = state.create();
                state.standing.give(name, index);
                index
            }
        };
        drop(state);
        Ok(self.file(index))
    }

    fn sync_standing(&self) -> io::Result<()> {
        let mut state = self.state();
        let times = state.faults.sync;
        state.operate(times)?;
        state.standing.sync();
        Ok(())
    }

    fn file(&self, index: usize) -> Arc<dyn File> {
        Arc::new(Handle {
            disk: self.clone(),
            index,
        })
    }
}

impl State {
    /// One more operation: counts down to the power cut, and fails one in `times`.
    fn operate(&mut self, times: u64) -> io::Result<()> {
        self.operations += 1;
        if let Some(left) = &mut self.power {
            if *left == 0 {
                self.is_out = true;
                self.out.notify_one();
            } else {
                *left -= 1;
            }
        }
        if self.is_out {
            return Err(io::Error::other("the power is out"));
        }
        let is_the_one = self.fault_in == Some(0);
        self.fault_in = match self.fault_in {
            Some(left) => left.checked_sub(1),
            None => None,
        };
        if is_the_one || (times > 0 && self.dice.one_in(times)) {
            return Err(io::Error::other("a fault of the disk"));
        }
        Ok(())
    }

    /// One more operation that writes.
    fn operate_writing(&mut self, times: u64) -> io::Result<()> {
        if self.is_read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        self.operate(times)
    }

    fn used(&self) -> u64 {
        let reserve = if self.has_reserve { RESERVE } else { 0 };
        let named = self.names.files().chain(self.standing.files());
        reserve
            + named
                .map(|index| self.files[index].blocks.len() as u64 * BLOCK)
                .sum::<u64>()
    }

    /// A new file without a name, by its number.
    fn create(&mut self) -> usize {
        self.files.push(Contents::default());
        self.files.len() - 1
    }
}

impl Contents {
    fn lose_power(&mut self, dice: &mut Dice) {
        let mut octets = std::mem::take(&mut self.durable);
        let mut unsynced = std::mem::take(&mut self.unsynced);
        // Writes reach a disk in an order of its own.
        for index in (1..unsynced.len()).rev() {
            if dice.one_in(3) {
                unsynced.swap(index, dice.below(index as u64 + 1) as usize);
            }
        }
        // Some cuts lose nearly all, some nearly nothing.
        let survives_one_in = 1 + dice.below(4);
        for writing in unsynced {
            if !dice.one_in(survives_one_in) {
                continue;
            }
            match writing {
                Writing::Length(length) => octets.resize(length as usize, 0),
                Writing::At(offset, written) => {
                    let (from, to) = torn(written.len(), dice);
                    put(&mut octets, offset + from as u64, &written[from..to]);
                }
            }
        }
        self.now.clone_from(&octets);
        self.blocks = (0..(octets.len() as u64).div_ceil(BLOCK)).collect();
        self.durable = octets;
    }
}

/// The part of a write that reached the disk: mostly all of it.
fn torn(length: usize, dice: &mut Dice) -> (usize, usize) {
    if !dice.one_in(4) {
        return (0, length);
    }
    let sectors = length.div_ceil(SECTOR) as u64;
    let cut = (dice.below(sectors + 1) as usize * SECTOR).min(length);
    if dice.one_in(2) {
        (0, cut)
    } else {
        (cut, length)
    }
}

fn put(octets: &mut Vec<u8>, offset: u64, written: &[u8]) {
    let start = offset as usize;
    let end = start + written.len();
    if octets.len() < end {
        octets.resize(end, 0);
    }
    octets[start..end].copy_from_slice(written);
}

#[derive(Debug)]
struct Handle {
    disk: Simulated,
    index: usize,
}

impl File for Handle {
    fn len(&self) -> io::Result<u64> {
        let mut state = self.disk.state();
        state.operate(0)?;
        Ok(state.files[self.index].now.len() as u64)
    }

    fn read(&self, offset: u64, octets: &mut [u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        let times = state.faults.read;
        state.operate(times)?;
        let start = offset as usize;
        let found = state.files[self.index].now.get(start..start + octets.len());
        octets.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write(&self, offset: u64, octets: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        let times = state.faults.write;
        state.operate_writing(times)?;
        let wanted: Vec<u64> = (offset / BLOCK..(offset + octets.len() as u64).div_ceil(BLOCK))
            .filter(|block| !state.files[self.index].blocks.contains(block))
            .collect();
        let more = wanted.len() as u64 * BLOCK;
        if state
            .capacity
            .is_some_and(|capacity| state.used() + more > capacity)
        {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let file = &mut state.files[self.index];
        file.blocks.extend(wanted);
        put(&mut file.now, offset, octets);
        file.unsynced.push(Writing::At(offset, octets.to_vec()));
        Ok(())
    }

    fn set_len(&self, octets: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        let times = state.faults.write;
        state.operate_writing(times)?;
        let file = &mut state.files[self.index];
        file.now.resize(octets as usize, 0);
        file.blocks.retain(|block| block * BLOCK < octets);
        file.unsynced.push(Writing::Length(octets));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        let times = state.faults.sync;
        if let Err(error) = state.operate(times) {
            if !state.is_out {
                // The kernel has forgotten that these were never written: only who writes them
                // again will ever see them on the disk.
                let mut dice = state.dice.clone();
                let file = &mut state.files[self.index];
                file.unsynced.retain(|_| !dice.one_in(3));
                state.dice = dice;
            }
            return Err(error);
        }
        let file = &mut state.files[self.index];
        for writing in std::mem::take(&mut file.unsynced) {
            match writing {
                Writing::Length(length) => file.durable.resize(length as usize, 0),
                Writing::At(offset, written) => put(&mut file.durable, offset, &written),
            }
        }
        Ok(())
    }

    fn release(&self) -> io::Result<()> {
        Ok(())
    }
}

impl Disk for Simulated {
    fn database(&self) -> io::Result<Option<Arc<dyn File>>> {
        let mut state = self.state();
        state.operate(0)?;
        let database = state.standing.file(DATABASE);
        drop(state);
        Ok(database.map(|index| self.file(index)))
    }

    fn new_database(&self) -> io::Result<Arc<dyn File>> {
        let file = self.standing_file(NEW_DATABASE)?;
        file.set_len(0)?;
        Ok(file)
    }

    fn name_database(&self) -> io::Result<()> {
        let mut state = self.state();
        let times = state.faults.name;
        state.operate_writing(times)?;
        state.standing.rename(NEW_DATABASE, DATABASE);
        drop(state);
        self.sync_standing()
    }

    fn journal(&self) -> io::Result<Arc<dyn File>> {
        let file = self.standing_file(JOURNAL)?;
        self.sync_standing()?;
        Ok(file)
    }

    fn journal_octets(&self) -> io::Result<Option<u64>> {
        let journal = self.state().standing.file(JOURNAL);
        journal.map(|index| self.file(index).len()).transpose()
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let mut state = self.state();
        let times = state.faults.name;
        state.operate_writing(times)?;
        if state.names.file(name).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let index = state.create();
        state.names.give(name, index);
        drop(state);
        Ok(self.file(index))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let mut state = self.state();
        let times = state.faults.read;
        state.operate(times)?;
        let index = state.names.file(name).ok_or(io::ErrorKind::NotFound)?;
        drop(state);
        Ok(self.file(index))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        let times = state.faults.name;
        state.operate_writing(times)?;
        state.names.rename(from, to);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        let times = state.faults.name;
        state.operate_writing(times)?;
        state.names.remove(name);
        Ok(())
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let mut state = self.state();
        state.operate(0)?;
        Ok(state.names.all())
    }

    fn sync_names(&self) -> io::Result<()> {
        let mut state = self.state();
        let times = state.faults.sync;
        state.operate(times)?;
        state.names.sync();
        Ok(())
    }

    fn free_octets(&self) -> io::Result<u64> {
        let state = self.state();
        match state.capacity {
            Some(capacity) if state.tells_room => Ok(capacity.saturating_sub(state.used())),
            _ => Ok(u64::MAX),
        }
    }

    fn keep_reserve(&self) -> io::Result<()> {
        let mut state = self.state();
        if state.has_reserve {
            return Ok(());
        }
        if state
            .capacity
            .is_some_and(|capacity| state.used() + RESERVE > capacity)
        {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.has_reserve = true;
        Ok(())
    }

    fn give_up_reserve(&self) -> bool {
        std::mem::take(&mut self.state().has_reserve)
    }
}
