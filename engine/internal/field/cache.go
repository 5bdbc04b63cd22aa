package field

import "sync"

// Key names a tile: tile (I, J), row and column, of an octave under a seed, its pixels the means of
// Filter x Filter of the octave's.
type Key struct {
	Seed   uint64
	I, J   int64
	Octave uint32
	Filter int32
}

// Cache keeps the tiles used last, up to a number of bytes. Any goroutine may use it. It copies in and
// out, so that nobody holds its memory: a few microseconds a tile are nothing beside a decode, and a
// tile that has to go leaves its memory to the next of its size.
type Cache struct {
	bytes int

	mu    sync.Mutex
	used  int
	tiles map[Key]*entry
	ring  entry // ring.older is the tile used last, ring.newer the one to go first
}

type entry struct {
	key          Key
	values       []float32
	newer, older *entry
}

// entryBytes is what an entry takes beside its values, about.
const entryBytes = 160

// NewCache makes a cache of so many bytes; of 0 it keeps nothing.
func NewCache(bytes int) *Cache {
	c := &Cache{bytes: bytes, tiles: map[Key]*entry{}}
	c.ring.newer, c.ring.older = &c.ring, &c.ring
	return c
}

// Get copies a tile to dst and makes it the one used last; false if it is not there.
func (c *Cache) Get(key Key, dst []float32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.tiles[key]
	if e == nil {
		return false
	}
	e.leave()
	c.enter(e)
	copy(dst, e.values)
	return true
}

// Put keeps a copy of a tile, in the place of those used least recently.
func (c *Cache) Put(key Key, tile []float32) {
	size := 4*len(tile) + entryBytes
	c.mu.Lock()
	defer c.mu.Unlock()
	if size > c.bytes || c.tiles[key] != nil { // another goroutine made the same one meanwhile
		return
	}
	var e *entry
	for c.used+size > c.bytes {
		e = c.ring.newer
		e.leave()
		delete(c.tiles, e.key)
		c.used -= 4*len(e.values) + entryBytes
	}
	if e == nil || len(e.values) != len(tile) {
		e = &entry{values: make([]float32, len(tile))}
	}
	e.key = key
	copy(e.values, tile)
	c.tiles[key] = e
	c.enter(e)
	c.used += size
}

// Bytes is how many the cache holds.
func (c *Cache) Bytes() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.used
}

// enter makes an entry the one used last.
func (c *Cache) enter(e *entry) {
	e.newer, e.older = &c.ring, c.ring.older
	e.older.newer, c.ring.older = e, e
}

func (e *entry) leave() {
	e.newer.older, e.older.newer = e.older, e.newer
}
