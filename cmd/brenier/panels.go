package main

import (
	"cmp"
	"errors"
	"fmt"
	"image/color"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"brenier/engine"
)

// mostCells is the cells up to which a map of the plane is drawn: more are too small to be seen.
const mostCells = 20_000

// panelsOf draws what there is to draw of a model, of the panels that are wanted by name.
func panelsOf(c *console, model *engine.Model, wanted []string, singular engine.Extension) ([]*panel, error) {
	info := model.Info()
	wants := func(name string) bool { return slices.Contains(wanted, name) }
	var panels []*panel
	if r := readMetadata(info).Fit; r != nil {
		if !drawable(r) {
			return nil, errors.New("--plot: the report holds numbers that no figure can show")
		}
		if h := r.History; h != nil && len(h.Chi2) > 0 && wants("convergence") {
			if h.Samples == nil {
				panels = append(panels, newtonPanel(r))
			} else {
				panels = append(panels, convergencePanel(r, float64(info.Points-r.Duplicates)))
			}
		}
		if r.RelativeMasses != nil && wants("masses") {
			panels = append(panels, massesPanel(r))
		}
	}
	if info.Dimension != 2 || info.Points == 0 {
		return panels, nil
	}
	if info.Points > mostCells {
		c.notef("--plot: %s cells are too many to be drawn; the rest is\n", thousands(uint64(info.Points)))
		return panels, nil
	}
	if wants("cells") {
		p, err := cellsPanel(model, info, singular)
		if err != nil {
			return nil, err
		}
		panels = append(panels, p)
	}
	if wants("points") {
		panels = append(panels, pointsPanel(model))
	}
	return panels, nil
}

// drawable reports whether the numbers have a size that a figure can show: a file may hold any.
func drawable(r *report) bool {
	all := []float64{r.Chi2, r.Chi2Error}
	if r.Tolerance != nil {
		if *r.Tolerance == 0 { // not known
			r.Tolerance = nil
		} else {
			all = append(all, *r.Tolerance)
		}
	}
	if h := r.History; h != nil {
		all = append(append(all, h.Chi2...), h.Chi2Error...)
	}
	if h := r.RelativeMasses; h != nil {
		if h.High-h.Low < 1e-9 {
			return false
		}
		all = append(append(append(all, h.Low, h.High), h.Cells...), h.Noise...)
	}
	return !slices.ContainsFunc(all, func(v float64) bool { return math.Abs(v) > 1e30 })
}

// measured is points with standard errors, of which two are drawn to either side.
type measured struct {
	plotter.XYs
	plotter.YErrors
}

// measuredSeries draws logarithms of numbers. One that is not above the floor lies there, and its bar
// says how far up it may be.
func measuredSeries(x, y, sd []float64, floor float64, style draw.GlyphStyle) (*plotter.Scatter, *plotter.YErrorBars) {
	var m measured
	for i := range x {
		at := math.Log10(max(y[i], floor))
		m.XYs = append(m.XYs, plotter.XY{X: math.Log10(x[i]), Y: at})
		m.YErrors = append(m.YErrors, struct{ Low, High float64 }{
			Low: at - math.Log10(max(y[i]-2*sd[i], floor)), High: math.Log10(max(y[i]+2*sd[i], floor)) - at,
		})
	}
	scatter := must(plotter.NewScatter(m.XYs))
	scatter.GlyphStyle = style
	bars := must(plotter.NewYErrorBars(m))
	bars.LineStyle = draw.LineStyle{Color: style.Color, Width: 0.8}
	bars.CapWidth = 4
	return scatter, bars
}

// must is for what only fails on numbers that are not finite, which a model file cannot hold.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func line(style draw.LineStyle, points plotter.XYs) *plotter.Line {
	l := must(plotter.NewLine(points))
	l.LineStyle = style
	return l
}

// logLine is a line between two points, by the logarithms of their coordinates.
func logLine(style draw.LineStyle, x1, y1, x2, y2 float64) *plotter.Line {
	return line(style, plotter.XYs{{X: math.Log10(x1), Y: math.Log10(y1)}, {X: math.Log10(x2), Y: math.Log10(y2)}})
}

var (
	circle         = draw.GlyphStyle{Color: blue, Radius: 2.5, Shape: draw.CircleGlyph{}}
	square         = draw.GlyphStyle{Color: vermillion, Radius: 3.5, Shape: draw.BoxGlyph{}}
	toleranceStyle = draw.LineStyle{Color: grey, Width: 1, Dashes: []vg.Length{5, 3}}
	floorStyle     = draw.LineStyle{Color: green, Width: 1.3, Dashes: []vg.Length{1, 2.5}}
)

// convergencePanel draws chi-squared against samples.
func convergencePanel(r *report, cells float64) *panel {
	h := r.History
	p := newPanel("Convergence", "samples drawn to find the heights", "chi-squared of the masses")
	p.X.Tick.Marker, p.Y.Tick.Marker = plot.TickerFunc(decades), plot.TickerFunc(decades)
	var x []float64
	for _, n := range append(slices.Clone(h.Samples), r.Samples) {
		x = append(x, float64(max(n, 1)))
	}
	y, sd := append(slices.Clone(h.Chi2), r.Chi2), append(slices.Clone(h.Chi2Error), r.Chi2Error)
	left, right := slices.Min(x)/1.15, slices.Max(x)*1.15
	low, high := cells/right, cells/left
	if r.Tolerance != nil {
		low = min(low, *r.Tolerance)
	}
	for i, v := range y {
		if v > 0 {
			low = min(low, v)
		}
		high = max(high, v+2*sd[i])
	}
	low, high = low/1.5, high*1.3
	last := len(x) - 1
	trials, bars := measuredSeries(x[:last], y[:last], sd[:last], low, circle)
	path := must(plotter.NewLine(trials.XYs))
	path.LineStyle = draw.LineStyle{Color: blue, Width: 1}
	certificate, certificateBars := measuredSeries(x[last:], y[last:], sd[last:], low, square)
	p.add("N / samples", logLine(floorStyle, left, cells/left, right, cells/right))
	if r.Tolerance != nil {
		p.add("tolerance", logLine(toleranceStyle, left, *r.Tolerance, right, *r.Tolerance))
	}
	p.add("trials", path, trials, bars)
	p.add("certificate, ± 2 standard errors", certificate, certificateBars)
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = math.Log10(left), math.Log10(right), math.Log10(low), math.Log10(high)
	return p
}

// newtonPanel draws chi-squared against the steps of Newton's method.
func newtonPanel(r *report) *panel {
	p := newPanel("Convergence", "Newton steps", "chi-squared of the masses")
	p.X.Tick.Marker, p.Y.Tick.Marker = plot.TickerFunc(wholeTicks), plot.TickerFunc(decades)
	var path plotter.XYs
	for i, v := range r.History.Chi2 {
		if v > 0 {
			path = append(path, plotter.XY{X: float64(i), Y: math.Log10(v)})
		}
	}
	steps := float64(len(r.History.Chi2) - 1)
	if r.Tolerance != nil {
		at := math.Log10(*r.Tolerance)
		p.add("tolerance", line(toleranceStyle, plotter.XYs{{X: -0.5, Y: at}, {X: steps + 0.5, Y: at}}))
	}
	if len(path) > 0 {
		points := must(plotter.NewScatter(path))
		points.GlyphStyle = circle
		p.add("float64 heights", line(draw.LineStyle{Color: blue, Width: 1}, path), points)
	}
	if v := r.Chi2Exact; v != nil && *v > 0 {
		stored := must(plotter.NewScatter(plotter.XYs{{X: steps, Y: math.Log10(*v)}}))
		stored.GlyphStyle = square
		p.add("as stored, in float32", stored)
	}
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = -0.5, steps+0.5, p.Y.Min-0.5, p.Y.Max+0.5
	return p
}

// wholeTicks is ticks at whole numbers from 0, ten or so at most.
func wholeTicks(low, high float64) []plot.Tick {
	every := int((high-low)/10) + 1
	var ticks []plot.Tick
	for v := 0; float64(v) <= high; v += every {
		ticks = append(ticks, plot.Tick{Value: float64(v), Label: fmt.Sprint(v)})
	}
	return ticks
}

// massesPanel draws the histogram of the relative masses over what exact masses would show.
func massesPanel(r *report) *panel {
	h := r.RelativeMasses
	p := newPanel("Masses on "+thousands(r.TestSamples)+" fresh samples", "mass of a cell, relative to the one wanted", "cells")
	width := (h.High - h.Low) / float64(len(h.Cells))
	bars := &plotter.Histogram{Width: width, FillColor: skyBlue, LineStyle: draw.LineStyle{Color: color.White, Width: 0.5}}
	outline := plotter.XYs{{X: h.Low}}
	most := 0.0
	for k, v := range h.Cells {
		from, to := h.Low+float64(k)*width, h.Low+float64(k+1)*width
		bars.Bins = append(bars.Bins, plotter.HistogramBin{Min: from, Max: to, Weight: v})
		outline = append(outline, plotter.XY{X: from, Y: h.Noise[k]}, plotter.XY{X: to, Y: h.Noise[k]})
		most = max(most, v, h.Noise[k])
	}
	outline = append(outline, plotter.XY{X: h.High})
	p.add("cells; the end bars hold all beyond", swatch{bars})
	p.add("sampling noise alone", line(draw.LineStyle{Color: vermillion, Width: 1.3}, outline))
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = h.Low, h.High, 0, 1.05*most
	return p
}

// swatch is a histogram that the legend shows by its colour.
type swatch struct{ *plotter.Histogram }

func (s swatch) Thumbnail(c *draw.Canvas) {
	c.FillPolygon(s.FillColor, []vg.Point{{X: c.Min.X, Y: c.Min.Y}, {X: c.Max.X, Y: c.Min.Y}, {X: c.Max.X, Y: c.Max.Y}, {X: c.Min.X, Y: c.Max.Y}})
}

// cellsPanel draws the power cells of a map of the plane, each in its point's colour, and the sides where
// the map jumps.
func cellsPanel(model *engine.Model, info engine.ModelInfo, singular engine.Extension) (*panel, error) {
	seen := 2.6 // of the Gaussian source, to either side
	if info.Source == "uniform" {
		seen = 0.5
	}
	all := 3 * seen // more than the wider side of the panel shows
	cells, err := model.PowerCells([2]float64{-all, -all}, [2]float64{all, all})
	if err != nil {
		return nil, err
	}
	edges, err := model.SingularEdges(cells, singular)
	if err != nil {
		return nil, err
	}
	p := newPanel("Power cells of the noise, in the colour of their point", "noise, first coordinate", "second coordinate")
	p.square = true
	p.Add(mosaic{cells, planeColours(model.Tensor("ot.points"))})
	if len(edges) > 0 {
		p.add("singular edges, as wide as the angle", singularEdges{edges, vg.Length(max(0.8, min(2.5, 70/math.Sqrt(float64(info.Points)))))})
	}
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = -seen, seen, -seen, seen
	return p, nil
}

// pointsPanel draws the points of a map of the plane.
func pointsPanel(model *engine.Model) *panel {
	y := model.Tensor("ot.points")
	colours := planeColours(y)
	p := newPanel("Points", "point, first coordinate", "second coordinate")
	p.square = true
	at := make(plotter.XYs, len(colours))
	for i := range at {
		at[i] = plotter.XY{X: float64(y[2*i]), Y: float64(y[2*i+1])}
	}
	scatter := must(plotter.NewScatter(at))
	radius := vg.Length(max(1, min(3, 60/math.Sqrt(float64(len(at))))))
	scatter.GlyphStyleFunc = func(i int) draw.GlyphStyle {
		return draw.GlyphStyle{Color: colours[i], Radius: radius, Shape: draw.CircleGlyph{}}
	}
	p.Add(scatter)
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		margin := 0.04 * (axis.Max - axis.Min)
		axis.Min, axis.Max = axis.Min-margin, axis.Max+margin
	}
	return p
}

// planeColours runs from blue to orange with the rank of a point's first coordinate, which people with
// any colour vision see, and from dark to light with that of the second.
func planeColours(y []float32) []color.Color {
	corners := [2][2][3]float64{{{18, 52, 110}, {150, 205, 245}}, {{140, 62, 0}, {255, 214, 140}}}
	n := len(y) / 2
	across, up := ranks(y, 0), ranks(y, 1)
	colours := make([]color.Color, n)
	for i := range colours {
		var c [3]uint8
		for k := range c {
			dark := (1-across[i])*corners[0][0][k] + across[i]*corners[1][0][k]
			light := (1-across[i])*corners[0][1][k] + across[i]*corners[1][1][k]
			c[k] = uint8((1-up[i])*dark + up[i]*light + 0.5)
		}
		colours[i] = color.RGBA{c[0], c[1], c[2], 0xff}
	}
	return colours
}

// ranks is the ranks of a coordinate of points of the plane, from 0 to 1.
func ranks(y []float32, coordinate int) []float64 {
	n := len(y) / 2
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(y[2*a+coordinate], y[2*b+coordinate]) })
	ranks := make([]float64, n)
	for rank, i := range order {
		ranks[i] = float64(rank) / max(1, float64(n-1))
	}
	return ranks
}

// mosaic is polygons in colours, with white lines between them, thinner where the polygons are thin.
type mosaic struct {
	cells   []engine.PowerCell
	colours []color.Color
}

func (m mosaic) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	for i, cell := range m.cells {
		if len(cell.Corners) == 0 {
			continue
		}
		var corners []vg.Point
		for _, v := range cell.Corners {
			corners = append(corners, vg.Point{X: x(v[0]), Y: y(v[1])})
		}
		area, around := vg.Length(0), vg.Length(0)
		for k, a := range corners {
			b := corners[(k+1)%len(corners)]
			area += (a.X*b.Y - a.Y*b.X) / 2
			around += vg.Length(math.Hypot(float64(b.X-a.X), float64(b.Y-a.Y)))
		}
		width := max(0.02, min(0.6, area/around/3))
		c.FillPolygon(m.colours[i], c.ClipPolygonXY(corners))
		c.StrokeLines(draw.LineStyle{Color: color.White, Width: width}, c.ClipLinesXY(append(corners, corners[0]))...)
	}
}

// singularEdges is lines between cells, as wide as their angle: the largest has the width.
type singularEdges struct {
	edges []engine.SingularEdge
	width vg.Length
}

const thinnest = 0.04 // what is thinner is not seen

func (s singularEdges) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	largest := 0.0
	for _, e := range s.edges {
		largest = max(largest, e.Angle)
	}
	for _, e := range s.edges {
		width := s.width * vg.Length(e.Angle/largest)
		if width < thinnest {
			continue
		}
		line := []vg.Point{{X: x(e.From[0]), Y: y(e.From[1])}, {X: x(e.To[0]), Y: y(e.To[1])}}
		c.StrokeLines(draw.LineStyle{Color: color.Black, Width: width}, c.ClipLinesXY(line)...)
	}
}

func (s singularEdges) Thumbnail(c *draw.Canvas) {
	middle := (c.Min.Y + c.Max.Y) / 2
	c.StrokeLine2(draw.LineStyle{Color: color.Black, Width: s.width}, c.Min.X, middle, c.Max.X, middle)
}
