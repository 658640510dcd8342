//! A large file whose way is interrupted, and then continued by the same command.

use clap::Args;
use enlace_benches::Result;
use enlace_benches::table::{self, figure, median};

use crate::large::write;
use crate::side::{BothWays, Continued, Side, Way};
use crate::{Common, MIB};

const HEADING: [&str; 7] =
    ["way: killed at", "second run in s", "whole run in s", "/whole", "/its share", "continued at %", "MiB again"];
/// Where the commands are killed.
const PARTS: [f64; 2] = [0.5, 0.9];

/// Options of `resume`.
#[derive(Args)]
pub(crate) struct Options {
    /// MiB of the file.
    #[arg(long, default_value_t = 512)]
    mib: usize,
    /// Rounds; in each, the file goes both ways without an interruption, and with one at each place.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

/// One way in all rounds.
#[derive(Default)]
struct Ways {
    whole: Vec<Way>,
    continued: [Vec<Continued>; PARTS.len()],
}

pub(crate) fn run(common: &Common, options: &Options) -> Result<()> {
    let scratch = common.scratch()?;
    let file = scratch.path().join("large.bin");
    write(&file, options.mib)?;
    for (name, program) in common.programs() {
        let side = Side::start(program, scratch.path().join(name))?;
        let (mut up, mut down) = (Ways::default(), Ways::default());
        for round in 0..options.rounds {
            let BothWays(sent, received) = side.both_ways(&file)?;
            up.whole.push(sent);
            down.whole.push(received);
            for (place, part) in PARTS.into_iter().enumerate() {
                let (sent, received) = side.both_ways_in_two_runs(&file, part)?;
                up.continued[place].push(sent);
                down.continued[place].push(received);
            }
            eprintln!("{name}, round {}", round + 1);
        }
        let rows = [rows("share", options.mib, &up), rows("receive", options.mib, &down)].concat();
        println!("\n{name}: medians over the rounds\n");
        table::print(&HEADING, &rows);
    }
    Ok(())
}

fn rows(what: &str, mib: usize, ways: &Ways) -> Vec<Vec<String>> {
    let length = (mib * MIB) as f64;
    let whole = median(&ways.whole.iter().map(|way| way.seconds).collect::<Vec<_>>());
    let bytes = median(&ways.whole.iter().map(|way| way.bytes as f64).collect::<Vec<_>>());
    let row = |(part, all): (f64, &Vec<Continued>)| {
        let mid = |figure: &dyn Fn(&Continued) -> f64| median(&all.iter().map(figure).collect::<Vec<_>>());
        let cells = [
            mid(&|way| way.second.seconds),
            whole,
            mid(&|way| way.second.seconds / whole),
            mid(&|way| way.second.seconds / whole / (1.0 - way.resumed as f64 / length)),
            mid(&|way| 100.0 * way.resumed as f64 / length),
            mid(&|way| (way.bytes as f64 - bytes) / MIB as f64),
        ];
        let mut row = vec![format!("{what}: {}%", 100.0 * part)];
        row.extend(cells.map(figure));
        row
    };
    PARTS.into_iter().zip(&ways.continued).map(row).collect()
}
