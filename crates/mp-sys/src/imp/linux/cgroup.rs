//! What the control groups of this process leave it: memory and processor time.
//!
//! A limit may be set at any level above us, so each is looked at from our group up to the root that we see. In a container the
//! path in `/proc/self/cgroup` may be the host's, which is not there for us; the walk then starts where directories begin to exist.

use std::path::{Path, PathBuf};

/// Bytes that can still be charged to us, by whichever of our groups is closest to its limit. `None`: no limit.
pub(crate) fn memory_headroom() -> Option<u64> {
    let unified = levels(None).filter_map(|level| {
        let limit = number(&level.join("memory.max"))?;
        headroom(&level, limit, "memory.current", "inactive_file")
    });
    let legacy = levels(Some("memory")).filter_map(|level| {
        // "No limit" is a number here, close to 2^63.
        let limit = number(&level.join("memory.limit_in_bytes")).filter(|limit| *limit < 1 << 60)?;
        headroom(&level, limit, "memory.usage_in_bytes", "total_inactive_file")
    });
    unified.chain(legacy).min()
}

fn headroom(level: &Path, limit: u64, usage: &str, cache: &str) -> Option<u64> {
    let used = number(&level.join(usage))?;
    // File cache that nobody used lately is charged, but given up on demand.
    let cached = std::fs::read_to_string(level.join("memory.stat"))
        .ok()
        .and_then(|stat| stat.lines().find_map(|line| line.strip_prefix(cache)?.trim().parse::<u64>().ok()))
        .unwrap_or(0);
    Some(limit.saturating_sub(used.saturating_sub(cached)))
}

/// Whole processors that our groups pay for, rounded up. `None`: no quota.
pub(crate) fn cpu_quota() -> Option<usize> {
    let unified = levels(None).filter_map(|level| {
        let text = std::fs::read_to_string(level.join("cpu.max")).ok()?;
        let (quota, period) = text.trim().split_once(' ')?;
        processors(quota.parse().ok()?, period.parse().ok()?)
    });
    let legacy = levels(Some("cpu")).filter_map(|level| {
        let quota = number(&level.join("cpu.cfs_quota_us"))?; // -1, which is no number here, for none
        processors(quota, number(&level.join("cpu.cfs_period_us"))?)
    });
    unified.chain(legacy).min()
}

fn processors(quota: u64, period: u64) -> Option<usize> {
    if period == 0 {
        return None;
    }
    usize::try_from(quota.div_ceil(period).max(1)).ok()
}

/// Our group's directory and all above it, in the unified hierarchy (`None`) or in that of a controller.
fn levels(controller: Option<&str>) -> impl Iterator<Item = PathBuf> {
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let path = group_path(&own, controller).map(str::to_owned);
    let root = match controller {
        None => PathBuf::from("/sys/fs/cgroup"),
        Some(name) => Path::new("/sys/fs/cgroup").join(name),
    };
    path.into_iter().flat_map(move |path| {
        let group = root.join(path.trim_start_matches('/'));
        let levels: Vec<_> =
            group.ancestors().take_while(|level| level.starts_with(&root)).map(Path::to_owned).collect();
        levels
    })
}

/// The path in a line `hierarchy:controllers:path` of `/proc/self/cgroup`.
fn group_path<'a>(text: &'a str, controller: Option<&str>) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let ours = match controller {
            None => controllers.is_empty(),
            Some(name) => controllers.split(',').any(|c| c == name),
        };
        // A group outside of our namespace is shown from below it; the visible root stands for all that is above us then.
        ours.then_some(if path.contains("/..") { "/" } else { path })
    })
}

/// A file with one number. `max` and negative ones are none.
fn number(path: &Path) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{group_path, processors};

    #[test]
    fn a_group_is_found_by_its_hierarchy() {
        let text = "12:cpu,cpuacct:/a/b\n3:memory:/m\n0::/user.slice/x:y\n";
        assert_eq!(group_path(text, Some("cpu")), Some("/a/b"));
        assert_eq!(group_path(text, Some("memory")), Some("/m"));
        assert_eq!(group_path(text, None), Some("/user.slice/x:y"));
        assert_eq!(group_path(text, Some("pids")), None);
        assert_eq!(group_path("0::/../../other\n", None), Some("/"));
    }

    #[test]
    fn a_part_of_a_processor_counts_as_one() {
        assert_eq!(processors(150_000, 100_000), Some(2));
        assert_eq!(processors(10_000, 100_000), Some(1));
        assert_eq!(processors(0, 100_000), Some(1));
        assert_eq!(processors(1, 0), None);
    }
}
