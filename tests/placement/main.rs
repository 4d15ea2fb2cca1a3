//! A cluster in virtual time: the placement code of the relay decides, and nodes, networks, viewers and faults are models with
//! the limits of the relay. `SLUICE_SEEDS=3 cargo test --test placement two_hundred -- --nocapture` prints the table of
//! benches/REPORT.md.

#![expect(clippy::unwrap_used, reason = "the functions that tests share may end a test, as tests may")]

mod directory;
mod legs;
mod model;
mod report;
mod viewers;
mod world;

use std::time::Duration;

use report::Row;
use world::{Size, World};

/// 5 nodes in each of four regions, each with 100 viewers.
const SMALL: Size = Size { nodes: 20, viewers: 2_000 };

/// 50 nodes in each of four regions, each with 500 viewers.
const LARGE: Size = Size { nodes: 200, viewers: 100_000 };

/// When something happens to a cluster that everyone has joined.
const LATER: Duration = Duration::from_secs(90);

/// How long it is watched afterwards.
const AFTERWARDS: Duration = Duration::from_secs(40);

/// Viewers join within a minute.
fn joined(size: Size, seed: u64) -> World {
    let mut world = World::new(size, seed);
    world.join_within(Duration::from_secs(60));
    world.run_until(LATER);
    world
}

fn everyone_joins(size: Size, seed: u64) -> Row {
    let mut world = joined(size, seed);
    world.report("all viewers join within 60 s")
}

fn everyone_joins_at_once(size: Size, seed: u64) -> Row {
    let mut world = World::new(size, seed);
    world.join_within(Duration::from_secs(10));
    world.run_until(LATER);
    world.report("all viewers join within 10 s")
}

fn a_region_is_lost(size: Size, seed: u64) -> Row {
    after(joined(size, seed), "a region of four is lost", |world| world.lose_region(2))
}

fn everyone_reconnects(size: Size, seed: u64) -> Row {
    after(joined(size, seed), "all viewers lose their connection at once", World::cut_all_viewers)
}

fn middle_nodes_are_lost(size: Size, seed: u64) -> Row {
    after(joined(size, seed), "half of the nodes with children are lost", World::lose_middle_nodes)
}

fn the_origin_is_lost(size: Size, seed: u64) -> Row {
    after(joined(size, seed), "the origin is lost; its encoder posts to another node 1 s later", World::lose_origin)
}

fn after(mut world: World, what: &'static str, happens: impl FnOnce(&mut World)) -> Row {
    world.forget_samples();
    happens(&mut world);
    world.run_until(LATER + AFTERWARDS);
    world.report(what)
}

const ALL: [fn(Size, u64) -> Row; 6] = [
    everyone_joins,
    everyone_joins_at_once,
    a_region_is_lost,
    everyone_reconnects,
    middle_nodes_are_lost,
    the_origin_is_lost,
];

#[test]
fn twenty_nodes_keep_every_limit_and_viewers_have_a_frame_again_within_3_s() {
    for (scenario, seed) in ALL.iter().zip(1..) {
        let row = scenario(SMALL, seed);
        row.check();
        assert_eq!(row, scenario(SMALL, seed), "the same seed gives the same run");
    }
}

#[test]
fn two_hundred_nodes_keep_every_limit_and_viewers_have_a_frame_again_within_3_s() {
    #[expect(clippy::print_stdout, reason = "the table is what it is run for")]
    let print = |line: &str| println!("{line}");
    let seeds = std::env::var("SLUICE_SEEDS").map_or(1, |seeds| seeds.parse().unwrap());
    print(Row::HEAD);
    for scenario in ALL {
        let rows: Vec<_> = (1..=seeds).map(|seed| scenario(LARGE, seed)).collect();
        let worst = Row::worst(&rows);
        print(&worst.to_string());
        worst.check();
    }
}
