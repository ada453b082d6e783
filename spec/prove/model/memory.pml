/*
** memory.pml - C11's memory for spin models, to be included. A model says before:
**
**   LOCATIONS   how many atomic words there are, all 0 at the beginning
**   MESSAGES    how many values each can get, the first 0 included
**   THREADS     how many processes use them; each has its number, from 0, in "me"
**
** What is modelled is RC11 without load buffering, as views (Kang et al., "A promising
** semantics for relaxed-memory concurrency", POPL 2017, section 3, without promises): a
** location is the list of all values that it ever had. A thread may read any of them that
** is not older than what it has seen, so old values stay readable until something orders
** them. Each thread has three views, a view being a place in each list:
**
**   now     what it has seen
**   later   what it will have seen after an acquire fence: what was released with the
**           values that it has read relaxed
**   given   what it had seen at its last release fence: what its relaxed stores release
**
** Values are added at the end of a list: right where the stores to a location are in an
** order already, by a lock or because they are exchanges.
*/

byte value[LOCATIONS * MESSAGES];
byte length[LOCATIONS] = 1;
byte released[LOCATIONS * MESSAGES * LOCATIONS];   /* a view with each value */
byte now[THREADS * LOCATIONS], later[THREADS * LOCATIONS], given[THREADS * LOCATIONS];
byte fenced[LOCATIONS];                            /* by seq_cst fences, of all threads */
hidden byte each;                                  /* counters of d_steps */

#define AT(location, place) ((location) * MESSAGES + (place))
#define NOW(location) now[me * LOCATIONS + (location)]
#define LATER(location) later[me * LOCATIONS + (location)]
#define GIVEN(location) given[me * LOCATIONS + (location)]
#define RELEASED(message, location) released[(message) * LOCATIONS + (location)]
#define LAST(location) (length[location] - 1)
#define LARGER(a, b) ((a) > (b) -> (a) : (b))
#define FOR_ALL_LOCATIONS(step) \
  each = 0; do :: each < LOCATIONS -> step; each++ :: else -> break od; each = 0

/* The orders, of loads and stores. */
#define RELAXED 0
#define ORDERED 1                 /* acquire, of a load; release, of a store */

inline see(location, place, order) {
  NOW(location) = place;
  FOR_ALL_LOCATIONS(
    LATER(each) = LARGER(LATER(each), RELEASED(AT(location, place), each));
    if
    :: order == ORDERED ->
       NOW(each) = LARGER(NOW(each), RELEASED(AT(location, place), each))
    :: else
    fi;
    LATER(each) = LARGER(LATER(each), NOW(each)))
}

/* 'place': a variable of the process, for the choice. */
inline load(location, order, place, to) {
  atomic {
    place = NOW(location);
    do
    :: place < LAST(location) -> place++
    :: break
    od;
    d_step {
      see(location, place, order);
      to = value[AT(location, place)];
      place = 0
    }
  }
}

inline add(location, what, order) {
  assert(length[location] < MESSAGES);
  value[AT(location, length[location])] = what;
  length[location]++;
  NOW(location) = LAST(location);
  LATER(location) = LAST(location);
  FOR_ALL_LOCATIONS(
    RELEASED(AT(location, LAST(location)), each) =
      LARGER(RELEASED(AT(location, LAST(location)), each),
             (order == ORDERED -> NOW(each) : GIVEN(each))));
  RELEASED(AT(location, LAST(location)), location) = LAST(location)
}

inline store(location, what, order) {
  d_step { add(location, what, order) }
}

/* Half of an exchange, acquire and release: reads the last value, and the next one
   releases what that did. In a d_step, with 'add' after it. */
inline take_last(location, was) {
  see(location, LAST(location), ORDERED);
  was = value[AT(location, LAST(location))];
  FOR_ALL_LOCATIONS(
    RELEASED(AT(location, length[location]), each) =
      RELEASED(AT(location, LAST(location)), each))
}

inline acquire_fence() {
  d_step { FOR_ALL_LOCATIONS(NOW(each) = LATER(each)) }
}

inline release_fence() {
  d_step { FOR_ALL_LOCATIONS(GIVEN(each) = NOW(each)) }
}

inline full_fence() {
  d_step {
    FOR_ALL_LOCATIONS(
      NOW(each) = LARGER(LATER(each), fenced[each]);
      LATER(each) = NOW(each);
      GIVEN(each) = NOW(each);
      fenced[each] = NOW(each))
  }
}
