//! Cycles among things that wait for each other.
//!
//! Invariant: the search visits each edge once and does not recurse, so that its cost is linear and a long chain can't overflow the stack.

use std::collections::BTreeMap;

/// A cycle in the graph of `(waits, waited_for)` edges, if there is one: its members in the order in which they wait, the first not
/// repeated. The same edges in any order give the same answer.
#[must_use]
pub fn find<T: Ord + Clone>(edges: &[(T, T)]) -> Option<Vec<T>> {
    let mut next: BTreeMap<&T, Vec<&T>> = BTreeMap::new();
    for (waits, waited_for) in edges {
        next.entry(waits).or_default().push(waited_for);
    }
    for targets in next.values_mut() {
        targets.sort();
        targets.dedup();
    }
    // Done nodes lead to no cycle; nodes on the path lead to one when met again.
    let mut done: BTreeMap<&T, bool> = BTreeMap::new();
    for &start in next.keys() {
        if done.contains_key(start) {
            continue;
        }
        let mut path: Vec<(&T, usize)> = vec![(start, 0)];
        done.insert(start, false);
        while let Some((node, at)) = path.last_mut() {
            let target = next.get(*node).and_then(|targets| targets.get(*at)).copied();
            *at += 1;
            match target {
                None => {
                    done.insert(*node, true);
                    path.pop();
                }
                Some(target) => match done.get(target) {
                    Some(true) => {}
                    Some(false) => {
                        return Some(path.iter().map(|(n, _)| (*n).clone()).skip_while(|n| n != target).collect());
                    }
                    None => {
                        done.insert(target, false);
                        path.push((target, 0));
                    }
                },
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn finds_the_members_in_order_and_nothing_in_a_dag() {
        assert_eq!(find(&[(1, 2), (2, 3), (1, 3)]), None);
        assert_eq!(find(&[(5, 1), (1, 2), (2, 3), (3, 1)]), Some(vec![1, 2, 3]));
        assert_eq!(find(&[(7, 7)]), Some(vec![7]));
        assert_eq!(find::<i32>(&[]), None);
    }

    #[test]
    fn a_long_chain_does_not_overflow_the_stack() {
        // Thirteen bytes of stack for each node: a call for each would not fit.
        const NODES: u32 = 5_000;
        const STACK_BYTES: usize = 64 * 1024;
        let search = || {
            let mut chain: Vec<(u32, u32)> = (0..NODES).map(|n| (n, n + 1)).collect();
            let acyclic = find(&chain);
            chain.push((NODES, 0));
            (acyclic, find(&chain).map(|cycle| cycle.len()))
        };
        let searched = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(search).unwrap().join().unwrap();
        assert_eq!(searched, (None, Some(5_001)));
    }
}
