//! The component engine: its settings, its pool, and the fallback where there is no room for one.
//!
//! The pool reserves address space for every instance up front, which makes an instance cheap and
//! its memory bounded. Small machines, containers with a limit on address space and 39-bit kernels
//! have no room for that: there, instances are allocated as they come, in small reservations.

use wasmtime::component::{HasSelf, Linker};
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::bindings::outpost::policy::{
    clock, config, dns, log, message, metrics, state, tables, types,
};
use super::context::{Context, TABLE_ELEMENTS_MAX};
use super::settings::{MEMORY_OCTETS_MAX, PoolSettings};

/// Stack of compiled code: the second net under a component that calls itself for ever.
const WASM_STACK_OCTETS: usize = 512 << 10;
/// Stack of a call with the relay's functions that it calls in turn.
const CALL_STACK_OCTETS: usize = 1 << 20;
/// Core instances for each component instance: Python's twenty and more are rare.
const CORE_INSTANCES_EACH: u32 = 16;
/// Memories for each component instance.
const MEMORIES_EACH: u32 = 2;
/// Tables for each component instance.
const TABLES_EACH: u32 = 4;

/// How instances get their memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allocation {
    /// From a pool that was reserved at the start.
    Pooled,
    /// As they come: slower, and in little address space.
    OnDemand,
}

/// An engine with a pool, or without one where there is no room.
///
/// # Errors
/// Neither works on this machine; the text says why.
pub fn start(pool: &PoolSettings) -> Result<(Engine, Allocation), String> {
    match Engine::new(&pooled(pool)) {
        Ok(engine) => return Ok((engine, Allocation::Pooled)),
        Err(error) => tracing::warn!(
            error = format!("{error:#}"),
            "no room for a pool of component instances: allocating them as they come"
        ),
    }
    Engine::new(&on_demand())
        .map(|engine| (engine, Allocation::OnDemand))
        .map_err(|error| format!("{error:#}"))
}

/// A linker with all that a component can be given.
///
/// # Errors
/// Two interfaces of the contract clash, which its tests would have seen.
pub fn linker(engine: &Engine) -> wasmtime::Result<Linker<Context>> {
    type Data = HasSelf<Context>;
    let mut linker = Linker::new(engine);
    types::add_to_linker::<_, Data>(&mut linker, |context| context)?;
    message::add_to_linker::<_, Data>(&mut linker, |context| context)?;
    config::add_to_linker::<_, Data>(&mut linker, |context| context)?;
    log::add_to_linker::<_, Data>(&mut linker, |context| context)?;
    clock::add_to_linker::<_, Data>(&mut linker, |context| context)?;
    metrics::add_to_linker::<_, Data>(&mut linker, |context| context)?;
    tables::add_to_linker::<_, Data>(&mut linker, |context| context)?;
    state::add_to_linker::<_, Data>(&mut linker, |context| context)?;
    dns::add_to_linker::<_, Data>(&mut linker, |context| context)?;
    Ok(linker)
}

fn common() -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .max_wasm_stack(WASM_STACK_OCTETS)
        .async_stack_size(CALL_STACK_OCTETS)
        // A trap is a value here; nobody reads where in the component it happened, and collecting
        // that costs more than the call.
        .wasm_backtrace_max_frames(None);
    config
}

fn pooled(pool: &PoolSettings) -> Config {
    let instances = pool.instances;
    let mut pooling = PoolingAllocationConfig::new();
    pooling
        .total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(CORE_INSTANCES_EACH))
        .total_memories(instances.saturating_mul(MEMORIES_EACH))
        .total_tables(instances.saturating_mul(TABLES_EACH))
        .total_stacks(instances)
        .max_memory_size(MEMORY_OCTETS_MAX)
        .table_elements(TABLE_ELEMENTS_MAX)
        // What stays resident is written over when an instance is dropped, touched or not, unless
        // the kernel tells which pages were: small, then, and large enough for our own components.
        // Asking the kernel costs two calls a message and is worth it: a fresh question took 8 µs more
        // without the scan and 16 µs more with nothing resident; a larger part gained nothing.
        .linear_memory_keep_resident(128 << 10)
        .table_keep_resident(64 << 10)
        .async_stack_keep_resident(64 << 10)
        .decommit_batch_size(16)
        .max_unused_warm_slots(64)
        .pagemap_scan(Enabled::Auto);
    let mut config = common();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pooling));
    config
}

fn on_demand() -> Config {
    let mut config = common();
    config
        .allocation_strategy(InstanceAllocationStrategy::OnDemand)
        .memory_reservation(0)
        .memory_guard_size(64 << 10)
        .memory_reservation_for_growth(1 << 20)
        .memory_may_move(true);
    config
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_pool_that_has_no_room_is_done_without() {
        let pool = PoolSettings {
            // 64 MiB and a guard for each of two memories: past any address space.
            instances: 100_000_000,
            ..PoolSettings::default()
        };
        assert_eq!(start(&pool).unwrap().1, Allocation::OnDemand);
    }
}
