package main

import (
	"flag"
	"fmt"
	"image/color"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgpdf"
	"gonum.org/v1/plot/vg/vgsvg"

	"brenier/engine"
)

// figure is a picture of a fit, in panels (panels.go): where it is drawn, which panels, and above which
// angle the sides of two cells are drawn as singular.
type figure struct {
	path     string
	panels   string
	angle    func(*engine.Extension) error
	singular engine.Extension
}

// panelNames are the panels of a figure, in order.
var panelNames = []string{"convergence", "masses", "cells", "points"}

func (f *figure) flags(flags *flag.FlagSet) {
	flags.StringVar(&f.path, "plot", "", "draw the fit into `file` .png, .svg or .pdf: convergence, masses and, in the plane, the cells")
	flags.StringVar(&f.panels, "panels", "", "--plot: draw only these `names` of "+strings.Join(panelNames, ", ")+", with commas between")
	f.angle = angleFlags(flags, "--plot: draw singular edges, between cells, only at an angle above this `quantile` of the angles seen")
}

// canvases make the formats' canvases, of a width and a height.
var canvases = map[string]func(w, h vg.Length) vg.CanvasWriterTo{
	".png": func(w, h vg.Length) vg.CanvasWriterTo {
		return vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(w, h), vgimg.UseDPI(100))}
	},
	".svg": func(w, h vg.Length) vg.CanvasWriterTo {
		return vgsvg.NewWith(vgsvg.UseWH(w, h), vgsvg.EmbedFonts(true))
	},
	".pdf": func(w, h vg.Length) vg.CanvasWriterTo { return vgpdf.New(w, h) },
}

func (f *figure) format() string { return strings.ToLower(filepath.Ext(f.path)) }

// check refuses a file of another format, and an angle that is none, before there is a fit to draw.
func (f *figure) check() error {
	if err := f.angle(&f.singular); err != nil {
		return err
	}
	if f.path == "" && (f.panels != "" || f.singular.Angle != engine.AngleDefault) {
		return usagef("--panels, --theta and --theta-radians say what to draw; give --plot too")
	}
	if f.singular.Angle == engine.AngleDefault {
		f.singular.Angle = engine.Radians // above 0
	}
	for _, name := range f.wanted() {
		if !slices.Contains(panelNames, name) {
			return usagef("--panels: want names of %s, got %q", strings.Join(panelNames, ", "), name)
		}
	}
	if _, known := canvases[f.format()]; f.path != "" && !known {
		return usagef("--plot %s: want a name that ends in .png, .svg or .pdf", f.path)
	}
	return nil
}

// wanted are the names of the panels to draw.
func (f *figure) wanted() []string {
	if f.panels == "" {
		return panelNames
	}
	return strings.Split(f.panels, ",")
}

// draw draws the fit of a model, if that is wanted.
func (f *figure) draw(c *console, model *engine.Model) error {
	if f.path == "" {
		return nil
	}
	panels, err := panelsOf(c, model, f.wanted(), f.singular)
	if err != nil {
		return err
	}
	if len(panels) == 0 {
		return fmt.Errorf("--plot: nothing to draw for %s; a fit has convergence and masses, a map of the plane cells and points", strings.Join(f.wanted(), ", "))
	}
	columns := min(2, len(panels))
	rows := (len(panels) + columns - 1) / columns
	canvas := canvases[f.format()](vg.Length(columns)*panelWidth, vg.Length(rows)*panelHeight)
	tiles := draw.Tiles{Cols: columns, Rows: rows, PadTop: 8, PadBottom: 8, PadLeft: 8, PadRight: 14, PadX: 20, PadY: 16}
	for k, p := range panels {
		p.draw(tiles.At(draw.New(canvas), k%columns, k/columns))
	}
	if err := writeFile(c, f.path, func(w io.Writer) error { _, err := canvas.WriteTo(w); return err }); err != nil {
		return err
	}
	c.printf("%-10s %s\n", "figure", f.path)
	return nil
}

const (
	panelWidth  = 4.6 * vg.Inch
	panelHeight = 3.6 * vg.Inch
)

// Colours that people with any colour vision tell apart (Okabe and Ito, "Color Universal Design", 2008).
var (
	blue       = color.RGBA{0x00, 0x72, 0xb2, 0xff}
	vermillion = color.RGBA{0xd5, 0x5e, 0x00, 0xff}
	green      = color.RGBA{0x00, 0x9e, 0x73, 0xff}
	skyBlue    = color.RGBA{0x9f, 0xd0, 0xee, 0xff} // paler, for areas
	grey       = color.RGBA{0x55, 0x55, 0x55, 0xff}
	pale       = color.RGBA{0xe4, 0xe4, 0xe4, 0xff}
)

// panel is one diagram, with its legend between title and axes, where there is no data.
type panel struct {
	*plot.Plot
	title  string
	legend []legendEntry
	square bool // a unit is as long along y as along x
}

type legendEntry struct {
	text   string
	thumbs []plot.Thumbnailer
}

func newPanel(title, x, y string) *panel {
	p := &panel{Plot: plot.New(), title: title}
	p.X.Label.Text, p.Y.Label.Text = x, y
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Label.TextStyle.Font = sans(10)
		axis.Tick.Label.Font = sans(9)
		axis.Tick.Length = 4
		axis.Padding = 0
	}
	p.X.Label.Padding, p.Y.Label.Padding = 3, 3
	return p
}

func sans(size vg.Length) font.Font {
	return font.From(font.Font{Typeface: "Liberation", Variant: "Sans"}, size)
}

// add draws things and names them in the legend, unless the name is empty.
func (p *panel) add(name string, things ...plot.Plotter) {
	p.Add(things...)
	if name == "" {
		return
	}
	entry := legendEntry{text: name}
	for _, thing := range things {
		if t, ok := thing.(plot.Thumbnailer); ok {
			entry.thumbs = append(entry.thumbs, t)
		}
	}
	p.legend = append(p.legend, entry)
}

const (
	lineHeight = 14
	thumbWidth = 20
)

func (p *panel) draw(c draw.Canvas) {
	style := text.Style{Color: color.Black, Font: sans(11), XAlign: draw.XLeft, YAlign: draw.YTop, Handler: plot.DefaultTextHandler}
	c.FillText(style, vg.Point{X: c.Min.X, Y: c.Max.Y}, p.title)
	style.Font, style.YAlign = sans(9), draw.YCenter
	x, y := c.Min.X, c.Max.Y-lineHeight/2
	if len(p.legend) > 0 {
		y -= 1.1 * lineHeight
	}
	for _, entry := range p.legend {
		width := thumbWidth + 4 + style.Width(entry.text)
		if x > c.Min.X && x+width > c.Max.X {
			x, y = c.Min.X, y-lineHeight
		}
		icon := draw.Canvas{Canvas: c.Canvas, Rectangle: vg.Rectangle{
			Min: vg.Point{X: x, Y: y - 4}, Max: vg.Point{X: x + thumbWidth, Y: y + 4},
		}}
		for _, thumb := range entry.thumbs {
			thumb.Thumbnail(&icon)
		}
		c.FillText(style, vg.Point{X: x + thumbWidth + 4, Y: y}, entry.text)
		x += width + 12
	}
	axes := draw.Crop(c, 0, 0, 0, y-lineHeight-c.Max.Y)
	if p.square {
		inside := p.DataCanvas(axes)
		p.equalUnits(inside.Max.X-inside.Min.X, inside.Max.Y-inside.Min.Y)
	}
	p.Draw(axes)
}

// equalUnits widens the range of one axis.
func (p *panel) equalUnits(width, height vg.Length) {
	unit := max((p.X.Max-p.X.Min)/float64(width), (p.Y.Max-p.Y.Min)/float64(height))
	for axis, length := range map[*plot.Axis]vg.Length{&p.X: width, &p.Y: height} {
		middle, half := (axis.Min+axis.Max)/2, unit*float64(length)/2
		axis.Min, axis.Max = middle-half, middle+half
	}
}

// decades is ticks for an axis of decimal logarithms: at powers of ten, with labels as far apart as they
// need, and of the numbers between where there are hardly two powers.
func decades(low, high float64) []plot.Tick {
	first, last := int(math.Floor(low)), int(math.Ceil(high))
	every := (last-first)/8 + 1
	var ticks []plot.Tick
	for e := first; e <= last; e++ {
		for digit := 1.; digit <= 9; digit++ {
			tick := plot.Tick{Value: float64(e) + math.Log10(digit)}
			if tick.Value < low-1e-9 || tick.Value > high+1e-9 || digit > 1 && every > 1 {
				continue
			}
			if digit == 1 && e%every == 0 || high-low < 1.7 && (digit == 2 || digit == 5) {
				tick.Label = short(digit * math.Pow10(e))
			}
			ticks = append(ticks, tick)
		}
	}
	return ticks
}

// short is a number of one digit as people read it on an axis.
func short(v float64) string {
	switch {
	case v >= 1e7 || v < 1e-5:
		return strings.NewReplacer("e+0", "e", "e-0", "e-", "e+", "e").Replace(fmt.Sprintf("%.0e", v))
	case v >= 1:
		return thousands(uint64(v + 0.5))
	}
	return strconv.FormatFloat(v, 'g', 1, 64)
}
