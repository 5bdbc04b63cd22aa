package main

import (
	"flag"
	"fmt"
	"io"
)

var decodeCommand = command{
	name: "decode", argument: "MODEL Z", least: 2, most: 2,
	summary: "Make images of codes: Z is [n,d], an .npy file, a safetensors tensor or -",
	examples: []string{
		"decode digits.safetensors z.npy --out digits.png",
		"decode digits.safetensors latents.safetensors:latents --out images.npy",
	},
	setup: setupDecode,
}

func setupDecode(flags *flag.FlagSet) func(*console, []string) error {
	var output imageOutput
	output.flags(flags, "decoded.png")
	return func(c *console, arguments []string) error {
		if err := output.resolve(); err != nil {
			return err
		}
		e, model, err := c.open(arguments[0])
		if err != nil {
			return err
		}
		defer e.Close()
		z, n, d, err := readMatrix(c, arguments[1])
		if err != nil {
			return err
		}
		info := model.Info()
		if d != info.Dimension {
			return fmt.Errorf("%s: rows of %d, the model's codes have %d", arguments[1], d, info.Dimension)
		}
		var times stageTimes
		err = writeFile(c, output.out, func(w io.Writer) error {
			sink, err := output.open(w, n, info)
			if err != nil {
				return err
			}
			for at := 0; at < n; at += chunk {
				part := min(chunk, n-at)
				err := timed(&times.Decode, func() error { return model.Decode(z[at*d:(at+part)*d], sink.next(part)) })
				if err == nil {
					err = timed(&times.Image, func() error { return sink.put(part) })
				}
				if err != nil {
					return err
				}
				c.progress(float64(at+part)/float64(n), fmt.Sprintf("%d of %d images", at+part, n))
			}
			return timed(&times.Image, sink.close)
		})
		if err != nil || output.out == "-" {
			return err
		}
		c.finish()
		if c.json {
			return c.writeJSON(map[string]any{
				"images": n, "file": output.out, "device": device(e.Info()),
				"seconds": map[string]float64{"decode": times.Decode, "image": times.Image},
			})
		}
		c.printf("%s: %s on %s\ndecode %s, image %s\n", output.out, count(n, "image"), device(e.Info()), seconds(times.Decode), seconds(times.Image))
		return nil
	}
}
