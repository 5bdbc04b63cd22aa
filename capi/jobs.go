package main

/*
#include "queue.h"
void capi_worker_thread(uint64_t processors, int32_t niceness);
uint64_t capi_usable_processors(void);
*/
import "C"

import (
	"fmt"
	"math"
	"runtime"
	"sync"
	"time"
	"unsafe"

	"brenier/engine"
)

var errJobMemory = &failure{C.BRENIER_OUT_OF_MEMORY, "no memory for the jobs that the engine may hold"}

// jobOptions are the job members of brenier_engine_options, with their defaults filled in.
type jobOptions struct {
	processors uint64 // 0: all
	workers    int    // -1: the default, which the device decides
	niceness   int
	slice      time.Duration
	limit      int
}

// jobOptionsOf checks what the caller says of jobs.
func jobOptionsOf(o *C.brenier_engine_options) (jobOptions, error) {
	to := jobOptions{processors: uint64(o.job_processors), niceness: 10, slice: 2 * time.Millisecond, limit: 1024, workers: -1}
	if to.processors != 0 && to.processors&uint64(C.capi_usable_processors()) == 0 {
		return to, invalid("options: job_processors: want a bit of %#x, the processors that this process may use, got %#x", uint64(C.capi_usable_processors()), to.processors)
	}
	switch {
	case o.job_workers < -1 || o.job_workers > 1024:
		return to, invalid("options: job_workers: want 1 .. 1024, 0 for the default or -1 for none, got %d", o.job_workers)
	case o.job_workers == -1:
		to.workers = 0
	case o.job_workers > 0:
		to.workers = int(o.job_workers)
	}
	switch {
	case o.job_niceness < -1 || o.job_niceness > 20:
		return to, invalid("options: job_niceness: want 1 .. 20, 0 for the default or -1 for none, got %d", o.job_niceness)
	case o.job_niceness != 0:
		to.niceness = max(0, int(o.job_niceness))
	}
	if o.job_slice_us != 0 {
		if o.job_slice_us < 10 || o.job_slice_us > 1e6 {
			return to, invalid("options: job_slice_us: want 10 .. 1000000, or 0 for the default, got %d", o.job_slice_us)
		}
		to.slice = time.Duration(o.job_slice_us) * time.Microsecond
	}
	if o.job_limit != 0 {
		if o.job_limit > 1<<16 {
			return to, invalid("options: job_limit: want 1 .. 65536, or 0 for the default, got %d", o.job_limit)
		}
		to.limit = int(o.job_limit)
	}
	return to, nil
}

// jobs is an engine's queue and the workers at it.
type jobs struct {
	queue   *C.struct_job_queue // nil: not started, or closed
	workers sync.WaitGroup
	spare   chan *jobWorker // of calls of brenier_run
}

// start opens the queue and starts the workers.
func (j *jobs) start(o *openEngine, options jobOptions) error {
	threads := o.Info().Threads // 0: not a processor
	wall := C.int(0)
	if threads == 0 {
		wall, threads = 1, 1 // the thread waits while the device works
	}
	j.queue = C.jobs_queue_open(C.uint32_t(options.limit), C.uint64_t(options.slice), wall)
	if j.queue == nil {
		return errJobMemory
	}
	j.spare = make(chan *jobWorker, 64)
	workers := options.workers
	if workers < 0 {
		workers = threads
	}
	if workers > 0 {
		j.workers.Go(func() { j.work(options, workers-1) })
	}
	return nil
}

// work is the life of a worker. It starts others when it has something to do: an engine that never
// sees a job has one thread more and not as many as processors.
func (j *jobs) work(options jobOptions, others int) {
	// The thread's place and rank are this goroutine's alone: the thread ends with it.
	runtime.LockOSThread()
	C.capi_worker_thread(C.uint64_t(options.processors), C.int32_t(options.niceness))
	w := new(jobWorker)
	for C.jobs_take(j.queue, &w.slice, 0, 1) != 0 {
		for ; others > 0; others-- {
			j.workers.Go(func() { j.work(options, 0) })
		}
		w.do()
	}
}

// join cancels all jobs and waits for the workers to end. It may be called again.
func (j *jobs) join() {
	if j.queue != nil {
		C.jobs_queue_stop(j.queue)
		j.workers.Wait()
	}
}

// close gives the queue back, once the models are closed.
func (j *jobs) close() {
	j.join()
	if j.queue != nil {
		C.jobs_queue_close(j.queue)
		j.queue = nil
	}
}

// poison makes the engine refuse all further work, for a reason.
func (o *openEngine) poison(reason string) {
	if o.defect.CompareAndSwap(nil, &reason) && o.jobs.queue != nil {
		C.jobs_queue_poison(o.jobs.queue, (*C.char)(unsafe.Pointer(unsafe.StringData(reason))), C.size_t(len(reason)))
	}
}

// openJobs tells the engine's queue of the model.
func (o *openModel) openJobs() error {
	facts := C.struct_job_facts{
		points: C.int64_t(o.info.Points), dimension: C.int32_t(o.info.Dimension), channels: C.int32_t(o.info.Channels),
		height: C.int32_t(o.info.Height), width: C.int32_t(o.info.Width), mode: C.brenier_mode(o.info.Mode),
	}
	if o.info.HasCentroids {
		facts.has_centroids = 1
	}
	if o.info.HasAngles {
		facts.has_angles = 1
	}
	if o.owner.Info().Threads == 0 {
		facts.has_device = 1
	}
	if o.jobs = C.jobs_model_open(o.owner.jobs.queue, &facts); o.jobs == nil {
		return errJobMemory
	}
	return nil
}

// closeJobs cancels the model's jobs and waits until they have ended.
func (o *openModel) closeJobs() {
	if o.jobs != nil {
		C.jobs_model_close(o.jobs)
		o.jobs = nil
	}
}

// openJobs tells the queue of the field.
func (o *openField) openJobs() error {
	facts := C.struct_job_facts{
		channels: C.int32_t(o.Channels()), row_pitch: C.size_t(o.RowPitch()), block: engine.BlockSize,
	}
	if o.jobs = C.jobs_model_open(o.model.owner.jobs.queue, &facts); o.jobs == nil {
		return errJobMemory
	}
	return nil
}

// closeJobs cancels the field's jobs and waits until they have ended.
func (o *openField) closeJobs() {
	C.jobs_model_close(o.jobs)
}

// jobWorker does slices, one at a time.
type jobWorker struct {
	slice  C.struct_job_slice
	worker engine.Worker
	parts  [C.JOB_PARTS]engine.Part
}

// do does the slice that was taken and gives it back. A panic poisons the engine and fails the jobs.
func (w *jobWorker) do() {
	defer C.jobs_finish(&w.slice)
	key := token(w.slice.model.token)
	if w.slice.settings.kind == C.JOB_FIELD {
		f := fields.held(key)
		defer w.end(f.model.owner)
		plantedPanic()
		w.read(f)
		return
	}
	m := models.held(key)
	defer w.end(m.owner)
	plantedPanic()
	task := w.task()
	parts := w.parts[:w.slice.parts]
	defer clear(parts) // they refer to the callers' memory
	for i := range parts {
		parts[i] = w.part(m, i)
	}
	w.worker.Do(m.Model, task, parts)
	for i := range parts {
		if err := parts[i].Err; err != nil {
			w.fail(i, statusOf(err), err.Error())
		}
	}
}

// end recovers from a panic; like that of a call, it must itself be the deferred function.
func (w *jobWorker) end(owner *openEngine) {
	if value := recover(); value != nil {
		text := fmt.Sprintf("%v, at %s", value, panicPlace())
		owner.poison(text)
		text = fmt.Sprintf("a defect of the library: %s; please report it", text)
		for i := range int(w.slice.parts) {
			w.fail(i, C.BRENIER_INTERNAL, text)
		}
	}
}

// read goes on with a block of a field read, or begins it.
func (w *jobWorker) read(f *openField) {
	p := &w.slice.part[0]
	key := blockKey{uint64(p.token), int(p.at)}
	reading, err := f.begun.take(key), error(nil)
	if reading == nil {
		work := &p.work
		to := engine.Image{
			Data:  unsafe.Slice((*byte)(work.output), int(work.bytes)),
			DType: pixelDTypes[w.slice.settings.dtype], Layout: layouts[w.slice.settings.layout],
		}
		r := engine.Region{X: int64(work.x), Y: int64(work.y), Width: int(work.width), Height: int(work.height), Level: int(work.level)}
		reading, err = f.Begin(uint64(work.seed), r, to, key.block)
	}
	made, done := 0, false
	if err == nil {
		made, done, err = reading.Step(int(w.slice.tiles))
	}
	w.slice.tiles = C.uint32_t(made)
	if err != nil {
		w.fail(0, statusOf(err), err.Error())
	}
	switch {
	case done:
		w.slice.done = 1
		reading.End()
	case err == nil:
		f.begun.put(key, reading)
	case reading != nil:
		reading.End()
	}
}

// blockKey names a block of a job.
type blockKey struct {
	job   uint64
	block int
}

// begunBlocks are the blocks of a field's reads that were begun and that no slice has.
type begunBlocks struct {
	mu sync.Mutex
	of map[blockKey]*engine.Reading
}

// take returns the reading of a block, or nil if it has to be begun. Those of jobs that have ended
// meanwhile it ends.
func (b *begunBlocks) take(key blockKey) *engine.Reading {
	b.mu.Lock()
	defer b.mu.Unlock()
	for k, reading := range b.of {
		if C.jobs_has_ended(C.uint64_t(k.job)) != 0 {
			delete(b.of, k)
			reading.End()
		}
	}
	reading := b.of[key]
	delete(b.of, key)
	return reading
}

func (b *begunBlocks) put(key blockKey, reading *engine.Reading) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.of[key] = reading
}

func (w *jobWorker) fail(part int, status C.brenier_status, text string) {
	C.jobs_fail(&w.slice, C.uint32_t(part), status, (*C.char)(unsafe.Pointer(unsafe.StringData(text))), C.size_t(len(text)))
}

// task is what the samples of the slice have in common.
func (w *jobWorker) task() engine.Task {
	s := &w.slice.settings
	switch s.kind {
	case C.JOB_GENERATE:
		return engine.Task{Kind: engine.GenerateTask, Extension: engine.Extension{
			Mode: engine.Mode(s.mode), K: int(s.cells), Angle: engine.Angle(s.angle),
			Theta: float64(s.theta), Blend: float64(s.blend),
		}}
	case C.JOB_DECODE:
		return engine.Task{Kind: engine.DecodeTask}
	}
	return engine.Task{Kind: engine.LocateTask, K: int(s.k)}
}

// part is part i of the slice, over the memory of its caller, which was checked as it was submitted.
func (w *jobWorker) part(m *openModel, i int) engine.Part {
	s, p := &w.slice.settings, &w.slice.part[i]
	at, n, d := int(p.at), int(p.count), m.info.Dimension
	part := engine.Part{N: n, Row: at, Seed: uint64(p.work.seed), First: uint64(p.work.first) + uint64(at)}
	if p.work.input != nil {
		part.In = unsafe.Slice((*float32)(p.work.input), (at+n)*d)[at*d:]
	}
	if s.kind == C.JOB_LOCATE {
		k := int(s.k)
		part.Cells = unsafe.Slice((*int64)(p.work.output), (at+n)*k)[at*k:]
		if p.work.scores != nil {
			part.Scores = unsafe.Slice((*float64)(p.work.scores), (at+n)*k)[at*k:]
		}
		return part
	}
	part.Images.DType = pixelDTypes[s.dtype]
	part.Images.Layout = layouts[s.layout]
	stride := m.info.Channels * m.info.Height * m.info.Width * int(elementSizes[s.dtype])
	if s.location == C.BRENIER_HOST {
		part.Images.Data = unsafe.Slice((*byte)(p.work.output), (at+n)*stride)[at*stride:]
	} else {
		part.Images.Device = engine.DeviceMemory{Address: uint64(uintptr(p.work.output)) + uint64(at*stride), Bytes: n * stride}
	}
	return part
}

//export capiRun
func capiRun(k C.uintptr_t, budget C.uint64_t, left *C.size_t) (status C.brenier_status) {
	var c call
	defer c.end(&status)
	e := c.useEngine(k)
	if e == nil {
		return
	}
	var w *jobWorker
	select {
	case w = <-e.jobs.spare:
	default:
		w = new(jobWorker)
	}
	defer func() {
		select {
		case e.jobs.spare <- w:
		default:
		}
	}()
	end := uint64(math.MaxUint64)
	now := uint64(C.jobs_now())
	if uint64(budget) < (math.MaxUint64-now)/1000 {
		end = now + 1000*uint64(budget)
	}
	for {
		// At least one slice, of one sample, whatever the budget.
		if C.jobs_take(e.jobs.queue, &w.slice, C.uint64_t(max(end-now, 1)), 0) == 0 {
			break
		}
		w.do()
		if now = uint64(C.jobs_now()); now >= end {
			C.jobs_leave(e.jobs.queue)
			break
		}
	}
	if left != nil {
		*left = C.size_t(C.jobs_unfinished(e.jobs.queue))
	}
	return
}
