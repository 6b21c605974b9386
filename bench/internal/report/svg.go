package report

import (
	"encoding/xml"
	"fmt"
	"math"
	"strings"
)

// Plot is a picture of some rows: lines over a logarithmic x axis, or bars
// where the points of the series share their labels. The y axis is logarithmic
// if the figures span more than a factor of 20.
type Plot struct {
	// Name is the file's, without its ending.
	Name   string   `json:"name"`
	Title  string   `json:"title"`
	X      string   `json:"x"`
	Y      string   `json:"y"`
	Bars   bool     `json:"bars,omitempty"`
	Labels []string `json:"labels,omitempty"`
	Series []Series `json:"series"`
}

// Series is a line of a plot, or the bars of one colour.
type Series struct {
	Name   string  `json:"name"`
	Points []Point `json:"points"`
}

// Point is a figure and its spread. In bars X is the place of its label.
type Point struct {
	X float64 `json:"x"`
	Y Stat    `json:"y"`
}

// The plot's measures in pixels.
const (
	plotWidth, plotHeight     = 720.0, 380.0
	left, right, top, bottom  = 76.0, 36.0, 44.0, 50.0
	legendHeight              = 18.0
	innerWidth                = plotWidth - left - right
	paper, ink, faint, family = "#ffffff", "#24292f", "#d8dee4", "system-ui, sans-serif"
)

// colours distinguish the series, also for most people who see fewer colours.
var colours = []string{"#0969da", "#d4720c", "#1a7f37", "#8250df", "#bf3989", "#57606a"}

// SVG draws the plot.
func (p Plot) SVG() string {
	d := &drawing{plot: p}
	d.scale()
	d.open()
	d.grid()
	for i, s := range p.Series {
		d.legend(i, s.Name)
		if p.Bars {
			d.bars(i, s)
		} else {
			d.line(i, s)
		}
	}
	d.printf("</svg>\n")
	return d.text.String()
}

type drawing struct {
	plot       Plot
	text       strings.Builder
	x, y       axis
	height     float64
	legendTops float64
}

// axis maps figures to 0…1.
type axis struct {
	low, high float64
	log       bool
}

func (a axis) place(v float64) float64 {
	if a.log {
		return (math.Log10(v) - math.Log10(a.low)) / (math.Log10(a.high) - math.Log10(a.low))
	}
	return (v - a.low) / (a.high - a.low)
}

// ticks returns where an axis has its lines.
func (a axis) ticks() (ticks []float64) {
	if a.log {
		for v := a.low; v <= a.high*1.001; v *= 10 {
			ticks = append(ticks, v)
		}
		return ticks
	}
	step := math.Pow(10, math.Floor(math.Log10(a.high)))
	for a.high/step < 4 {
		step /= 2
	}
	for v := 0.0; v <= a.high*1.001; v += step {
		ticks = append(ticks, v)
	}
	return ticks
}

// scale finds the ranges of both axes: whole decades where they are logarithmic.
func (d *drawing) scale() {
	xs, ys := [2]float64{math.Inf(1), 0}, [2]float64{math.Inf(1), 0}
	for _, s := range d.plot.Series {
		for _, p := range s.Points {
			xs = [2]float64{min(xs[0], p.X), max(xs[1], p.X)}
			ys = [2]float64{min(ys[0], p.Y.Low), max(ys[1], p.Y.High)}
		}
	}
	d.x = axis{decade(xs[0], math.Floor), decade(xs[1], math.Ceil), true}
	d.x.high = max(d.x.high, 10*d.x.low)
	if ys[0] > 0 && ys[1] > 20*ys[0] {
		d.y = axis{decade(ys[0]/1.01, math.Floor), decade(ys[1], math.Ceil), true}
	} else {
		d.y = axis{0, max(ys[1]*1.08, 1e-9), false}
	}
	d.legendTops = plotHeight + 8
	d.height = d.legendTops + legendHeight*math.Ceil(float64(len(d.plot.Series))/2) + 4
}

func decade(v float64, round func(float64) float64) float64 {
	if v <= 0 || math.IsInf(v, 0) {
		return 1
	}
	return math.Pow(10, round(math.Log10(v)))
}

func (d *drawing) printf(format string, args ...any) { fmt.Fprintf(&d.text, format, args...) }

func (d *drawing) open() {
	d.printf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" font-family="%s" font-size="12" fill="%s" role="img" aria-label="%s">`+"\n",
		plotWidth, d.height, family, ink, escape(d.plot.Title))
	d.printf(`<rect width="%g" height="%g" fill="%s"/>`+"\n", plotWidth, d.height, paper)
	d.printf(`<text x="%g" y="24" font-size="15" font-weight="600">%s</text>`+"\n", left, escape(d.plot.Title))
	d.printf(`<text x="%g" y="%g" text-anchor="middle">%s</text>`+"\n", left+innerWidth/2, plotHeight-14, escape(d.plot.X))
	d.printf(`<text transform="translate(16 %g) rotate(-90)" text-anchor="middle">%s</text>`+"\n", (top+plotHeight-bottom)/2, escape(d.plot.Y))
}

func (d *drawing) grid() {
	for _, v := range d.y.ticks() {
		y := d.py(v)
		d.printf(`<path d="M%.1f %.1fH%.1f" stroke="%s"/><text x="%.1f" y="%.1f" text-anchor="end">%s</text>`+"\n",
			left, y, plotWidth-right, faint, left-6, y+4, Number(v))
	}
	if d.plot.Bars {
		for i, label := range d.plot.Labels {
			d.printf(`<text x="%.1f" y="%.1f" text-anchor="middle">%s</text>`+"\n", d.slot(i)+d.slotWidth()/2, plotHeight-bottom+16, escape(label))
		}
		return
	}
	for _, v := range d.x.ticks() {
		d.printf(`<path d="M%.1f %.1fV%.1f" stroke="%s"/><text x="%.1f" y="%.1f" text-anchor="middle">%s</text>`+"\n",
			d.px(v), top, plotHeight-bottom, faint, d.px(v), plotHeight-bottom+16, Number(v))
	}
}

func (d *drawing) px(v float64) float64 { return left + d.x.place(v)*innerWidth }

func (d *drawing) py(v float64) float64 {
	return plotHeight - bottom - d.y.place(max(v, d.y.low))*(plotHeight-top-bottom)
}

func (d *drawing) slotWidth() float64 { return innerWidth / float64(max(1, len(d.plot.Labels))) }

func (d *drawing) slot(i int) float64 { return left + float64(i)*d.slotWidth() }

func (d *drawing) line(i int, s Series) {
	var path strings.Builder
	for k, p := range s.Points {
		command := "L"
		if k == 0 {
			command = "M"
		}
		fmt.Fprintf(&path, "%s%.1f %.1f", command, d.px(p.X), d.py(p.Y.Median))
	}
	colour := colours[i%len(colours)]
	d.printf(`<path d="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", path.String(), colour)
	for _, p := range s.Points {
		d.spread(d.px(p.X), p.Y, colour)
		d.printf(`<circle cx="%.1f" cy="%.1f" r="3.5" fill="%s"><title>%s</title></circle>`+"\n",
			d.px(p.X), d.py(p.Y.Median), colour, escape(s.Name+": "+Number(p.Y.Median)))
	}
}

func (d *drawing) bars(i int, s Series) {
	width := d.slotWidth() * 0.8 / float64(len(d.plot.Series))
	colour := colours[i%len(colours)]
	for _, p := range s.Points {
		x := d.slot(int(p.X)) + d.slotWidth()*0.1 + float64(i)*width
		y := d.py(p.Y.Median)
		d.printf(`<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"><title>%s</title></rect>`+"\n",
			x, y, width*0.92, plotHeight-bottom-y, colour, escape(s.Name+": "+Number(p.Y.Median)))
		d.spread(x+width*0.46, p.Y, ink)
	}
}

// spread marks the lowest and the highest run.
func (d *drawing) spread(x float64, s Stat, colour string) {
	if s.High > s.Low {
		d.printf(`<path d="M%.1f %.1fV%.1f" stroke="%s" opacity="0.6"/>`+"\n", x, d.py(s.Low), d.py(s.High), colour)
	}
}

func (d *drawing) legend(i int, name string) {
	x, y := left+float64(i%2)*innerWidth/2, d.legendTops+float64(i/2)*legendHeight
	d.printf(`<rect x="%.1f" y="%.1f" width="12" height="12" fill="%s"/><text x="%.1f" y="%.1f">%s</text>`+"\n",
		x, y-10, colours[i%len(colours)], x+18, y, escape(name))
}

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder does not fail
	return b.String()
}
