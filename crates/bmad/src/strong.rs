//! Strongly connected components of a directed graph (Tarjan's algorithm).
//!
//! Invariant: linear in nodes and edges, and without recursion: the depth of a graph that came from outside is not that
//! of our stack.

/// Marks a node that was not reached yet.
const UNSEEN: usize = usize::MAX;

/// For each node the number of its component; two nodes share one exactly if each can be reached from the other.
pub(crate) fn components(count: usize, successors: &[Vec<usize>]) -> Vec<usize> {
    let mut search = Search {
        successors,
        seen_at: vec![UNSEEN; count],
        low: vec![UNSEEN; count],
        component: vec![UNSEEN; count],
        path: Vec::new(),
        clock: 0,
        found: 0,
    };
    for node in 0..count {
        if search.seen_at.get(node) == Some(&UNSEEN) {
            search.from(node);
        }
    }
    search.component
}

struct Search<'a> {
    successors: &'a [Vec<usize>],
    seen_at: Vec<usize>,
    low: Vec<usize>,
    component: Vec<usize>,
    /// Nodes whose component is still open.
    path: Vec<usize>,
    clock: usize,
    found: usize,
}

impl Search<'_> {
    fn from(&mut self, start: usize) {
        // Each entry: a node and how many of its successors were followed.
        let mut open = vec![(start, 0)];
        self.enter(start);
        while let Some((node, followed)) = open.last_mut() {
            let node = *node;
            let next = self.successors.get(node).and_then(|list| list.get(*followed)).copied();
            *followed += 1;
            match next {
                Some(next) if at(&self.seen_at, next) == UNSEEN => {
                    self.enter(next);
                    open.push((next, 0));
                }
                Some(next) if at(&self.component, next) == UNSEEN => self.lower(node, at(&self.seen_at, next)),
                Some(_) => {}
                None => {
                    open.pop();
                    self.leave(node);
                    if let Some((parent, _)) = open.last() {
                        self.lower(*parent, at(&self.low, node));
                    }
                }
            }
        }
    }

    fn enter(&mut self, node: usize) {
        set(&mut self.seen_at, node, self.clock);
        set(&mut self.low, node, self.clock);
        self.clock += 1;
        self.path.push(node);
    }

    fn lower(&mut self, node: usize, low: usize) {
        let low = at(&self.low, node).min(low);
        set(&mut self.low, node, low);
    }

    /// Closes the component whose first node this is.
    fn leave(&mut self, node: usize) {
        if at(&self.low, node) != at(&self.seen_at, node) {
            return;
        }
        while let Some(member) = self.path.pop() {
            set(&mut self.component, member, self.found);
            if member == node {
                break;
            }
        }
        self.found += 1;
    }
}

fn at(values: &[usize], index: usize) -> usize {
    values.get(index).copied().unwrap_or(UNSEEN)
}

fn set(values: &mut [usize], index: usize, value: usize) {
    if let Some(slot) = values.get_mut(index) {
        *slot = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knots_are_told_apart() {
        // 0 → 1 → 2 → 0 is one knot, 3 ↔ 4 another that it leads to, 5 stands alone.
        let parts = components(6, &[vec![1], vec![2], vec![0, 3], vec![4], vec![3], vec![]]);
        assert!(parts[0] == parts[1] && parts[1] == parts[2] && parts[3] == parts[4]);
        assert!(parts[0] != parts[3] && parts[5] != parts[0] && parts[5] != parts[3]);
    }

    #[test]
    fn a_long_chain_needs_no_stack() {
        let count = 200_000;
        let chain: Vec<_> = (0..count).map(|node| vec![(node + 1) % count]).collect();
        assert!(components(count, &chain).iter().all(|part| *part == 0));
    }
}
