package main

/*
#include <stdlib.h>
#include "queue.h"
*/
import "C"

import (
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"

	"brenier/engine"
)

var (
	engines = table[openEngine]{tag: engineTag}
	models  = table[openModel]{tag: modelTag}
	fields  = table[openField]{tag: fieldTag}
)

// openEngine is what a brenier_engine stands for.
type openEngine struct {
	*engine.Engine
	defect     atomic.Pointer[string] // the text of the panic that poisoned the engine, or nil
	jobs       jobs
	properties C.brenier_engine_properties

	mu     sync.Mutex
	models map[token]struct{} // open, or being closed at this moment
	closed sync.Cond          // a model left the map
}

// openModel is what a brenier_model stands for.
type openModel struct {
	*engine.Model
	owner      *openEngine
	jobs       *C.struct_job_model
	properties C.brenier_model_properties
	info       engine.ModelInfo

	mu     sync.Mutex
	fields map[token]struct{} // open, or being destroyed at this moment
	closed sync.Cond          // a field left the map
}

// openField is what a brenier_field stands for.
type openField struct {
	*engine.Field
	model *openModel
	jobs  *C.struct_job_model
	begun begunBlocks
}

// addEngine gives a new engine its token, and starts its job workers.
func addEngine(e *engine.Engine, options jobOptions) (token, error) {
	info := e.Info()
	o := &openEngine{Engine: e, models: map[token]struct{}{}}
	o.closed.L = &o.mu
	o.properties = C.brenier_engine_properties{
		device:      C.CString(info.Name),
		device_name: C.CString(info.Device),
		path:        C.CString(info.Path),
		threads:     C.int32_t(info.Threads),
		note:        C.CString(info.Note),
	}
	if err := o.jobs.start(o, options); err != nil {
		o.close()
		return 0, err
	}
	k, ok := engines.insert(o)
	if !ok {
		o.close()
		return 0, errTooMany
	}
	return k, nil
}

// addModel gives a new model of an engine its token.
func addModel(owner *openEngine, m *engine.Model) (token, error) {
	info := m.Info()
	o := &openModel{Model: m, owner: owner, info: info, fields: map[token]struct{}{}}
	o.closed.L = &o.mu
	o.properties = C.brenier_model_properties{
		points:    C.int64_t(info.Points),
		dimension: C.int32_t(info.Dimension),
		channels:  C.int32_t(info.Channels),
		height:    C.int32_t(info.Height),
		width:     C.int32_t(info.Width),
		low:       C.double(info.Low),
		high:      C.double(info.High),
		source:    C.CString(info.Source),
		metadata:  C.CString(info.Metadata),
		kernels:   C.CString(kernelsJSON(m)),
	}
	if info.HasCentroids {
		o.properties.has_centroids = 1
	}
	if info.HasEncoder {
		o.properties.has_encoder = 1
	}
	if err := o.openJobs(); err != nil {
		o.close()
		return 0, err
	}
	// The owner knows of the model before anyone has its token, and so before anyone can close it.
	owner.mu.Lock()
	defer owner.mu.Unlock()
	k, ok := models.insert(o)
	if !ok {
		o.close()
		return 0, errTooMany
	}
	if C.jobs_model_publish(o.jobs, C.uint64_t(k)) == 0 {
		models.remove(models.retire(k))
		o.close()
		return 0, errJobMemory
	}
	owner.models[k] = struct{}{}
	return k, nil
}

// addField gives a new field of a model, which a call holds, its token.
func addField(m *openModel, f *engine.Field) (token, error) {
	o := &openField{Field: f, model: m, begun: begunBlocks{of: map[blockKey]*engine.Reading{}}}
	if err := o.openJobs(); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	k, ok := fields.insert(o)
	if !ok {
		o.closeJobs()
		return 0, errTooMany
	}
	if C.jobs_model_publish(o.jobs, C.uint64_t(k)) == 0 {
		fields.remove(fields.retire(k))
		o.closeJobs()
		return 0, errJobMemory
	}
	m.fields[k] = struct{}{}
	return k, nil
}

// closeField cancels the jobs of a retired field and ends it. It holds nothing else that has to be given
// back.
func closeField(k token, s *slot[openField]) {
	m := s.object.model
	s.object.closeJobs()
	fields.remove(s)
	m.mu.Lock()
	delete(m.fields, k)
	m.mu.Unlock()
	m.closed.Broadcast()
}

// kernelsJSON says which kernels serve a model, as brenier_model_properties does.
func kernelsJSON(m *engine.Model) string {
	type kernel struct {
		Part   string `json:"part"`
		Kernel string `json:"kernel"`
	}
	chosen, notes := m.Kernels()
	said := struct {
		Kernels []kernel `json:"kernels"`
		Notes   []string `json:"notes"`
	}{make([]kernel, 0, len(chosen)), append([]string{}, notes...)}
	for _, k := range chosen {
		said.Kernels = append(said.Kernels, kernel{k.Part, k.Name})
	}
	text, err := json.Marshal(said)
	if err != nil { // strings alone cannot fail
		panic(err)
	}
	return string(text)
}

func (o *openEngine) close() error {
	o.jobs.close()
	defer func() {
		for _, text := range []*C.char{o.properties.device, o.properties.device_name, o.properties.path, o.properties.note} {
			C.free(unsafe.Pointer(text))
		}
	}()
	return o.Engine.Close()
}

func (o *openModel) close() error {
	o.closeJobs()
	defer func() {
		C.free(unsafe.Pointer(o.properties.source))
		C.free(unsafe.Pointer(o.properties.metadata))
		C.free(unsafe.Pointer(o.properties.kernels))
	}()
	return o.Model.Close()
}

// closeEngine closes a retired engine and its models, and waits for the models that another thread
// is closing.
func closeEngine(s *slot[openEngine]) error {
	defer engines.remove(s)
	o := s.object
	o.jobs.join()
	o.mu.Lock()
	tokens := make([]token, 0, len(o.models))
	for k := range o.models {
		tokens = append(tokens, k)
	}
	o.mu.Unlock()
	for _, k := range tokens {
		if m := models.retire(k); m != nil {
			closeModel(k, m)
		}
	}
	o.mu.Lock()
	for len(o.models) > 0 {
		o.closed.Wait()
	}
	o.mu.Unlock()
	return o.close()
}

// closeModel closes a retired model and its fields, and waits for the fields that another thread is
// closing.
func closeModel(k token, s *slot[openModel]) error {
	o := s.object
	defer func() {
		models.remove(s)
		o.owner.mu.Lock()
		delete(o.owner.models, k)
		o.owner.mu.Unlock()
		o.owner.closed.Broadcast()
	}()
	o.mu.Lock()
	tokens := slices.Collect(maps.Keys(o.fields))
	o.mu.Unlock()
	for _, k := range tokens {
		if f := fields.retire(k); f != nil {
			closeField(k, f)
		}
	}
	o.mu.Lock()
	for len(o.fields) > 0 {
		o.closed.Wait()
	}
	o.mu.Unlock()
	return o.close()
}
