package main

import (
	"math"
	"slices"
	"testing"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/recorder"

	"brenier/engine"
)

func TestDecades(t *testing.T) {
	for _, c := range []struct {
		low, high float64
		labels    []string
	}{
		{30_000, 400_000, []string{"50,000", "100,000", "200,000"}},
		{0.0009, 2, []string{"0.001", "0.01", "0.1", "1"}},
		{1e-30, 10, []string{"1e-28", "1e-24", "1e-20", "1e-16", "1e-12", "1e-8", "0.0001", "1"}},
		{1e6, 3e9, []string{"1,000,000", "1e7", "1e8", "1e9"}},
	} {
		var labels []string
		for _, tick := range decades(math.Log10(c.low), math.Log10(c.high)) {
			if tick.Label != "" {
				labels = append(labels, tick.Label)
			}
		}
		if !slices.Equal(labels, c.labels) {
			t.Errorf("from %g to %g: %q, want %q", c.low, c.high, labels, c.labels)
		}
	}
}

// Numbers that only a file made by others holds are drawn or refused.
func TestPanels_of_strange_reports(t *testing.T) {
	number := func(v float64) *float64 { return &v }
	sound := func() *report {
		return &report{
			Chi2: 0.01, Chi2Error: 0.001, Samples: 5000, Tolerance: number(0.01),
			History:        &history{Samples: []uint64{1000, 4000}, Chi2: []float64{0.2, 0.02}, Chi2Error: []float64{0.01, 0.01}},
			RelativeMasses: &histogram{Low: 0.5, High: 1.5, Cells: []float64{1, 2}, Noise: []float64{1.5, 1.5}},
		}
	}
	for name, c := range map[string]struct {
		change func(*report)
		drawn  bool
	}{
		"sound":             {func(*report) {}, true},
		"no_tolerance":      {func(r *report) { r.Tolerance = number(0) }, true},
		"estimates_below_0": {func(r *report) { r.Chi2, r.History.Chi2 = -1, []float64{-0.1, -2} }, true},
		"no_samples":        {func(r *report) { r.Samples, r.History.Samples = 0, []uint64{0, 0} }, true},
		"nothing_but_0": {func(r *report) {
			*r = report{History: &history{Samples: []uint64{0}, Chi2: []float64{0}, Chi2Error: []float64{0}}}
		}, true},
		"steps_that_end_at_0":     {func(r *report) { r.History = &history{Chi2: []float64{1, 0}} }, true},
		"huge_chi_squared":        {func(r *report) { r.History.Chi2[0] = 1e300 }, false},
		"huge_error":              {func(r *report) { r.Chi2Error = math.MaxFloat64 }, false},
		"a_histogram_of_no_width": {func(r *report) { r.RelativeMasses.High = 0.5 }, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := sound()
			c.change(r)
			if got := drawable(r); got != c.drawn {
				t.Fatalf("drawable: %v", got)
			}
			if !c.drawn {
				return
			}
			var panels []*panel
			if r.History.Samples == nil {
				panels = append(panels, newtonPanel(r))
			} else {
				panels = append(panels, convergencePanel(r, 10))
			}
			if r.RelativeMasses != nil {
				panels = append(panels, massesPanel(r))
			}
			for _, p := range panels {
				p.draw(draw.NewCanvas(&recorder.Canvas{}, panelWidth, panelHeight))
				for _, axis := range []plot.Axis{p.X, p.Y} {
					if !(axis.Min < axis.Max) || math.IsInf(axis.Max-axis.Min, 0) {
						t.Errorf("%s: an axis from %v to %v", p.title, axis.Min, axis.Max)
					}
				}
			}
		})
	}
}

// A legend is no place where data are: it lies above the axes.
func TestPanel_legend_covers_no_data(t *testing.T) {
	p := massesPanel(&report{RelativeMasses: &histogram{High: 2, Cells: []float64{9, 9}, Noise: []float64{9, 9}}})
	p.title = "a title"
	var canvas recorder.Canvas
	p.draw(draw.NewCanvas(&canvas, panelWidth, panelHeight))
	text, data := vg.Length(math.Inf(1)), vg.Length(0)
	for _, action := range canvas.Actions {
		switch a := action.(type) {
		case *recorder.FillString:
			if a.String == p.legend[0].text || a.String == p.legend[1].text {
				text = min(text, a.Point.Y)
			}
		case *recorder.Stroke:
			if len(a.Path) > 3 { // bars and the noise, not the legend's samples of lines
				for _, part := range a.Path {
					data = max(data, part.Pos.Y)
				}
			}
		}
	}
	if data == 0 || data > text-lineHeight/2 {
		t.Errorf("the legend begins at %v, data end at %v", text, data)
	}
}

// Edges are as wide as their angles, and what could not be seen is left out.
func TestSingularEdges_widths(t *testing.T) {
	p := newPanel("", "", "")
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = -1, 1, -1, 1
	edges := singularEdges{width: 2}
	for i, angle := range []float64{1, 0.5, 1e-6} {
		y := float64(i) / 4
		edges.edges = append(edges.edges, engine.SingularEdge{From: [2]float64{-0.5, y}, To: [2]float64{0.5, y}, Angle: angle})
	}
	var canvas recorder.Canvas
	edges.Plot(draw.NewCanvas(&canvas, 100, 100), p.Plot)
	var widths []vg.Length
	for _, action := range canvas.Actions {
		if a, ok := action.(*recorder.SetLineWidth); ok {
			widths = append(widths, a.Width)
		}
	}
	if !slices.Equal(widths, []vg.Length{2, 1}) {
		t.Errorf("widths %v, want 2 and 1", widths)
	}
}
