//! CPU time and memory of a process, from Linux's `/proc`.

use std::fs;
use std::io;

/// Clock ticks per second that Linux reports to programs, on every architecture.
const TICKS_PER_SECOND: f64 = 100.0;

/// Resources used by a process since its start.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// CPU time in seconds, including ended threads.
    pub cpu_seconds: f64,
    /// Context switches of the running threads; those of ended threads are not counted.
    pub context_switches: u64,
}

/// Memory of a process in MiB.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// Resident memory.
    pub resident: f64,
    /// Peak resident memory.
    pub peak: f64,
}

impl Usage {
    /// Reads the counters of a process.
    ///
    /// # Errors
    /// If there is no such process.
    pub fn of(pid: u32) -> io::Result<Self> {
        let mut context_switches = 0;
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            // A thread may end in between.
            let status = fs::read_to_string(task?.path().join("status")).unwrap_or_default();
            context_switches +=
                number(&status, "voluntary_ctxt_switches:") + number(&status, "nonvoluntary_ctxt_switches:");
        }
        Ok(Self { cpu_seconds: cpu_seconds(pid)?, context_switches })
    }

    /// What was used since an earlier reading.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            cpu_seconds: self.cpu_seconds - earlier.cpu_seconds,
            context_switches: self.context_switches.saturating_sub(earlier.context_switches),
        }
    }

    /// Adds another use.
    pub fn add(&mut self, other: Self) {
        self.cpu_seconds += other.cpu_seconds;
        self.context_switches += other.context_switches;
    }
}

impl Memory {
    /// Reads the memory of a process.
    ///
    /// # Errors
    /// If there is no such process.
    pub fn of(pid: u32) -> io::Result<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let mib = |name| number(&status, name) as f64 / 1024.0;
        Ok(Self { resident: mib("VmRSS:"), peak: mib("VmHWM:") })
    }
}

/// Seconds of processor time that a process used.
///
/// # Errors
/// If there is no such process.
pub fn cpu_seconds(pid: u32) -> io::Result<f64> {
    ticks(&pid.to_string(), [11, 12])
}

/// Seconds of processor time that the ended children of this process used, once they were waited for.
///
/// # Errors
/// If it cannot be read.
pub fn cpu_seconds_of_children() -> io::Result<f64> {
    ticks("self", [13, 14])
}

/// Bytes that a process has read from files and written to files. What sockets take and give in calls of their own is not counted.
///
/// # Errors
/// If it cannot be read.
pub fn file_bytes(pid: u32) -> io::Result<(u64, u64)> {
    let counters = fs::read_to_string(format!("/proc/{pid}/io"))?;
    Ok((number(&counters, "rchar:"), number(&counters, "wchar:")))
}

/// The sum of two fields, which are counted from that behind the name.
fn ticks(process: &str, places: [usize; 2]) -> io::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name of the program, in parentheses, may contain anything.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |place: usize| fields.get(place).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    Ok(places.map(ticks).iter().sum::<f64>() / TICKS_PER_SECOND)
}

fn number(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
