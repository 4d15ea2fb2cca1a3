//! The shared types as models: within [`explore`], loom may switch threads at each access, and explores every order;
//! elsewhere they are simple locked collections.
//!
//! A map has one lock here, where a `DashMap` has one per shard: two keys never contend in a `DashMap` unless they
//! share a shard, so the model can only find additional deadlocks.

use std::borrow::Borrow;
use std::cell::Cell;
use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};

thread_local! {
    static EXPLORING: Cell<bool> = const { Cell::new(false) };
}

/// Runs `scenario` in every order in which its threads, created by [`loom::thread::spawn`], can interleave, with up to
/// three preemptions; panics where a thread panics or where all threads wait for each other.
pub(crate) fn explore(scenario: impl Fn() + Send + Sync + 'static) {
    EXPLORING.set(true);
    let mut explorer = loom::model::Builder::new();
    explorer.preemption_bound = Some(3);
    explorer.check(scenario);
    EXPLORING.set(false);
}

/// Lets one thread pass at a time; loom may switch threads here.
#[derive(Debug)]
struct Gate(Option<loom::sync::Mutex<()>>);

type Pass<'a> = Option<loom::sync::MutexGuard<'a, ()>>;

impl Gate {
    fn new() -> Self {
        Self(EXPLORING.get().then(|| loom::sync::Mutex::new(())))
    }

    fn pass(&self) -> Pass<'_> {
        self.0.as_ref().map(|gate| gate.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A value behind a gate.
#[derive(Debug)]
struct Gated<T> {
    gate: Gate,
    content: Mutex<T>,
}

struct Inside<'a, T> {
    // Released before the pass ends, so that the next thread finds it free.
    content: MutexGuard<'a, T>,
    _pass: Pass<'a>,
}

impl<T> Gated<T> {
    fn new(content: T) -> Self {
        Self { gate: Gate::new(), content: Mutex::new(content) }
    }

    fn enter(&self) -> Inside<'_, T> {
        let _pass = self.gate.pass();
        Inside { content: self.content.lock().unwrap_or_else(PoisonError::into_inner), _pass }
    }
}

/// Like `crossbeam_queue::ArrayQueue`.
#[derive(Debug)]
pub(crate) struct ArrayQueue<T> {
    items: Gated<VecDeque<T>>,
    capacity: usize,
}

impl<T> ArrayQueue<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { items: Gated::new(VecDeque::new()), capacity }
    }

    pub(crate) fn push(&self, item: T) -> Result<(), T> {
        let mut items = self.items.enter();
        if items.content.len() == self.capacity {
            return Err(item);
        }
        items.content.push_back(item);
        Ok(())
    }

    pub(crate) fn pop(&self) -> Option<T> {
        self.items.enter().content.pop_front()
    }

    pub(crate) fn len(&self) -> usize {
        self.items.enter().content.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Like `std::sync::atomic::AtomicBool`, sequentially consistent.
#[derive(Debug)]
pub(crate) struct AtomicBool(Gated<bool>);

impl AtomicBool {
    pub(crate) fn new(value: bool) -> Self {
        Self(Gated::new(value))
    }

    pub(crate) fn store(&self, value: bool, order: Ordering) {
        self.swap(value, order);
    }

    pub(crate) fn swap(&self, value: bool, _: Ordering) -> bool {
        std::mem::replace(&mut *self.0.enter().content, value)
    }
}

/// Like `std::sync::atomic::AtomicUsize`, sequentially consistent.
#[derive(Debug)]
pub(crate) struct AtomicUsize(Gated<usize>);

impl Default for AtomicUsize {
    fn default() -> Self {
        Self(Gated::new(0))
    }
}

impl AtomicUsize {
    pub(crate) fn load(&self, _: Ordering) -> usize {
        *self.0.enter().content
    }

    pub(crate) fn fetch_add(&self, more: usize, _: Ordering) -> usize {
        let mut value = self.0.enter();
        let before = *value.content;
        *value.content = before.checked_add(more).expect("it does not overflow");
        before
    }

    pub(crate) fn fetch_sub(&self, less: usize, _: Ordering) -> usize {
        let mut value = self.0.enter();
        let before = *value.content;
        *value.content = before.checked_sub(less).expect("it never falls below 0");
        before
    }
}

/// Like `dashmap::DashMap`.
#[derive(Debug)]
pub(crate) struct DashMap<K, V>(Gated<Vec<(K, V)>>);

/// One entry of a map, locked.
pub(crate) struct Ref<'a, K, V> {
    map: Rc<Inside<'a, Vec<(K, V)>>>,
    place: usize,
}

/// One entry of a map, locked for changes.
pub(crate) struct RefMut<'a, K, V> {
    map: Inside<'a, Vec<(K, V)>>,
    place: usize,
}

/// Like `dashmap::mapref::entry::Entry`.
pub(crate) enum Entry<'a, K, V> {
    Occupied(RefMut<'a, K, V>),
    Vacant(Vacant<'a, K, V>),
}

/// The place of a missing entry.
pub(crate) struct Vacant<'a, K, V> {
    map: Inside<'a, Vec<(K, V)>>,
    key: K,
}

impl<K, V> Default for DashMap<K, V> {
    fn default() -> Self {
        Self(Gated::new(Vec::new()))
    }
}

impl<K: Eq, V> DashMap<K, V> {
    pub(crate) fn insert(&self, key: K, value: V) -> Option<V> {
        match self.entry(key) {
            Entry::Occupied(mut entry) => Some(std::mem::replace(&mut entry, value)),
            Entry::Vacant(vacant) => {
                vacant.insert(value);
                None
            }
        }
    }

    pub(crate) fn entry(&self, key: K) -> Entry<'_, K, V> {
        let map = self.0.enter();
        match map.content.iter().position(|(known, _)| *known == key) {
            Some(place) => Entry::Occupied(RefMut { map, place }),
            None => Entry::Vacant(Vacant { map, key }),
        }
    }

    pub(crate) fn get<Q: Eq + ?Sized>(&self, key: &Q) -> Option<Ref<'_, K, V>>
    where
        K: Borrow<Q>,
    {
        let RefMut { map, place } = self.get_mut(key)?;
        Some(Ref { map: Rc::new(map), place })
    }

    pub(crate) fn get_mut<Q: Eq + ?Sized>(&self, key: &Q) -> Option<RefMut<'_, K, V>>
    where
        K: Borrow<Q>,
    {
        let map = self.0.enter();
        let place = map.content.iter().position(|(known, _)| known.borrow() == key)?;
        Some(RefMut { map, place })
    }

    pub(crate) fn remove<Q: Eq + ?Sized>(&self, key: &Q) -> Option<(K, V)>
    where
        K: Borrow<Q>,
    {
        self.remove_if(key, |_, _| true)
    }

    pub(crate) fn remove_if<Q: Eq + ?Sized>(&self, key: &Q, condition: impl FnOnce(&K, &V) -> bool) -> Option<(K, V)>
    where
        K: Borrow<Q>,
    {
        let RefMut { mut map, place } = self.get_mut(key)?;
        let (key, value) = &map.content[place];
        condition(key, value).then(|| map.content.swap_remove(place))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Ref<'_, K, V>> {
        let map = Rc::new(self.0.enter());
        (0..map.content.len()).map(move |place| Ref { map: Rc::clone(&map), place })
    }

    pub(crate) fn len(&self) -> usize {
        self.0.enter().content.len()
    }

    pub(crate) fn capacity(&self) -> usize {
        self.0.enter().content.capacity()
    }

    pub(crate) fn shrink_to_fit(&self) {
        self.0.enter().content.shrink_to_fit();
    }
}

impl<K, V> Ref<'_, K, V> {
    pub(crate) fn key(&self) -> &K {
        &self.map.content[self.place].0
    }

    pub(crate) fn value(&self) -> &V {
        &self.map.content[self.place].1
    }
}

impl<K, V> Deref for Ref<'_, K, V> {
    type Target = V;

    fn deref(&self) -> &V {
        self.value()
    }
}

impl<K, V> RefMut<'_, K, V> {
    pub(crate) fn value_mut(&mut self) -> &mut V {
        self
    }

    pub(crate) fn get(&self) -> &V {
        self
    }

    pub(crate) fn get_mut(&mut self) -> &mut V {
        self
    }

    pub(crate) fn remove(mut self) -> V {
        self.map.content.swap_remove(self.place).1
    }
}

impl<K, V> Deref for RefMut<'_, K, V> {
    type Target = V;

    fn deref(&self) -> &V {
        &self.map.content[self.place].1
    }
}

impl<K, V> DerefMut for RefMut<'_, K, V> {
    fn deref_mut(&mut self) -> &mut V {
        &mut self.map.content[self.place].1
    }
}

impl<'a, K, V> Vacant<'a, K, V> {
    fn insert(mut self, value: V) -> RefMut<'a, K, V> {
        let place = self.map.content.len();
        self.map.content.push((self.key, value));
        RefMut { map: self.map, place }
    }
}

impl<'a, K, V: Default> Entry<'a, K, V> {
    pub(crate) fn or_default(self) -> RefMut<'a, K, V> {
        match self {
            Self::Occupied(entry) => entry,
            Self::Vacant(vacant) => vacant.insert(V::default()),
        }
    }
}
