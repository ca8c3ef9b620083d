"""Experiments 1 and 2: networks of two coordinates fitted to slices of the map."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch

from bench.table import markdown_table
from bench.thesis.networks import (
    evaluate,
    fourier_matrix,
    mapped,
    parameters,
    positions,
    relu_network,
    sine_network,
    train,
)
from bench.thesis.printed import NOT_AT_HAND, TIME_50_EPOCHS, as_printed
from bench.thesis.setup import F32, Runs, Setup, normalised
from nmap.grid import Grid
from nmap.spectrum import frc, power

MAPPINGS = ("gauss 1", "gauss 10", "gauss 100", "basic", "none")
EPOCHS = 50


def central_slice(setup: Setup, axis: str, side: int | None) -> tuple[F32, tuple[float, float]]:
    """The central slice across an axis of the lowered map, of unit variance, and its pixel (x, y), Angstrom."""
    density = setup.lowered(side)
    number = "zyx".index(axis)
    vx, vy, vz = density.grid.voxel_size
    across = {"z": (vx, vy), "y": (vx, vz), "x": (vy, vz)}[axis]
    return normalised(np.take(density.values, density.values.shape[number] // 2, number)), across


def measure(decoded: F32, truth: F32, pixel: tuple[float, float]) -> dict[str, Any]:
    """FRC of a decoded slice with its source, and PSNR."""
    curve = frc(decoded, truth, pixel)
    error = float(np.sqrt(np.mean((decoded - truth) ** 2)))
    return {
        "mean_frc": float(curve.fsc[1:].mean()),
        "worst_frc": curve.worst(),
        "crossing_0.5": curve.crossing(0.5),
        "crossing_0.143": curve.crossing(0.143),
        "psnr": 20 * float(np.log10(np.ptp(truth) / max(error, 1e-12))),
        "frequency": [float(f) for f in curve.frequency],
        "frc": [float(f) for f in curve.fsc],
    }


class Settings(NamedTuple):
    """How networks are fitted to slices: neurons, Fourier frequencies, epochs, samples a side (None: all), rate."""

    width: int
    features: int
    epochs: int
    side: int | None
    rate: float


def settings_1(setup: Setup) -> Settings:
    """Of experiment 1, by the size of the run."""
    chosen: Settings = setup.choose(
        Settings(256, 256, 2000, None, 1e-4), Settings(64, 64, 200, 96, 1e-3), Settings(8, 8, 3, 16, 1e-3)
    )
    return chosen


def settings_2(setup: Setup) -> Settings:
    """Of experiment 2, by the size of the run; it has no Fourier frequencies."""
    chosen: Settings = setup.choose(
        Settings(256, 0, 2000, None, 1e-4), Settings(64, 0, 300, 96, 1e-3), Settings(8, 0, 3, 16, 1e-3)
    )
    return chosen


def experiment_1(setup: Setup) -> dict[str, Any]:
    """SIREN against Fourier features on a slice: quality, loss, and the time of 50 epochs."""
    width, features, steps, side, rate = settings_1(setup)
    truth, pixel = central_slice(setup, "z", side)
    points, targets = positions(truth.shape, corners=True), truth.reshape(-1, 1)
    networks = []
    for name in ("SIREN", *MAPPINGS):
        torch.manual_seed(setup.seed)
        inputs, network = fourier_inputs(name, points, width, features, setup.seed)
        done = train(network, inputs, targets, steps=steps, rate=rate)
        found = measure(evaluate(network, inputs).reshape(truth.shape), truth, pixel)
        networks.append(
            {
                "name": name,
                "parameters": parameters(network),
                "seconds": done.seconds,
                "loss": done.loss,
                **found,
            }
        )
    times = _times(points, targets, width, features, setup.choose(EPOCHS, EPOCHS, 2), setup.seed)
    picture = setup.picture("1", 2)
    for each in networks:
        picture.axes[0].semilogy(*zip(*each["loss"], strict=True), label=each["name"])
        picture.axes[1].plot(each["frequency"][1:], each["frc"][1:], label=each["name"])
    picture.axes[0].set(xlabel="epoch", ylabel="mean squared error (variance 1)")
    picture.axes[1].set(xlabel="spatial frequency (1/Å)", ylabel="FRC")
    picture.axes[1].legend(fontsize=7)
    return {
        "slice": list(truth.shape),
        "pixel": pixel[0],
        "width": width,
        "features": features,
        "epochs": steps,
        "rate": rate,
        "networks": networks,
        "times": times,
        "picture": picture.write(),
    }


def fourier_inputs(
    name: str, points: F32, width: int, features: int, seed: int
) -> tuple[F32, torch.nn.Module]:
    """The inputs that a network takes for these points, and the network untrained."""
    if name == "SIREN":
        return points, sine_network(2, width, 3, 30.0)
    inputs = mapped(points, fourier_matrix(name, 2, features, seed))
    return inputs, relu_network(inputs.shape[1], width, 3)


def _times(points: F32, targets: F32, width: int, features: int, epochs: int, seed: int) -> dict[str, float]:
    """Processor seconds of a number of epochs: SIREN, then Fourier features fairly and as the thesis ported them."""
    matrix = fourier_matrix("gauss 10", 2, features, seed)
    inputs = mapped(points, matrix)

    def remap() -> torch.Tensor:
        return torch.from_numpy(mapped(points, matrix))

    def once(**how: Any) -> float:
        torch.manual_seed(seed)
        network = relu_network(inputs.shape[1], width, 3)
        if how.pop("test", False):
            how["each_step"] = lambda: evaluate(
                network, mapped(points, matrix) if "inputs" in how else inputs
            )
        return train(network, inputs, targets, steps=epochs, rate=1e-4, **how).processor

    torch.manual_seed(seed)
    siren = sine_network(2, width, 3, 30.0)
    train(siren, points, targets, steps=1, rate=1e-4)
    return {
        "epochs": epochs,
        "SIREN": train(siren, points, targets, steps=epochs, rate=1e-4).processor,
        "fair": once(),
        "mapping each epoch": once(inputs=remap),
        "test set each epoch": once(test=True),
        "both": once(inputs=remap, test=True),
    }


def lead_1(runs: Runs) -> list[str]:
    """What holds for experiment 1 on every map."""
    printed = TIME_50_EPOCHS["Fourier features"] / TIME_50_EPOCHS["SIREN"]
    return [
        "The central slice across z, of variance 1, fitted by a SIREN and by ReLU networks on Fourier features: "
        "Gaussian frequencies of spread 1, 10 and 100, the basic mapping, and none. Everybody gets the same width, "
        "epochs and rate, the whole slice in a batch, one seed. Without `--quick` these are the settings of both "
        "methods' published examples, for the thesis's own for its table 3.1 are not at hand, nor are its FRC and "
        "loss figures. All are measured at the pixels that they were trained on, which says nothing of what lies "
        "between them.",
        "",
        f"The thesis's table 3.1 gives {TIME_50_EPOCHS['SIREN']} s for 50 epochs of a SIREN and "
        f"{TIME_50_EPOCHS['Fourier features']} s for Fourier features, on its GPU: a factor of {printed:.0f}. Its "
        "port computes the mapping in numpy, and evaluates a test set, in every epoch. Here that is timed with and "
        "without. On a GPU the host's share weighs more, for numpy and the copies get no faster there while the "
        "network takes next to no time; no GPU was at hand, so how much of the factor it explains is not known.",
    ]


def lines_1(found: dict[str, Any]) -> list[str]:
    """Experiment 1 on one map, as Markdown."""
    rows = [
        [
            n["name"],
            str(n["parameters"]),
            f"{n['mean_frc']:.3f}",
            f"{n['worst_frc']:.3f}",
            angstrom(n["crossing_0.5"]),
            f"{n['psnr']:.1f}",
            f"{n['loss'][-1][1]:.2e}",
            f"{n['seconds']:.1f}",
        ]
        for n in found["networks"]
    ]
    head = ["network", "parameters", "mean FRC", "worst FRC", "FRC 0.5, Å", "PSNR dB", "last loss", "seconds"]
    times, siren = found["times"], found["times"]["SIREN"]
    timed = [
        ["SIREN", "0.674 s", f"{siren:.2f} s", "1"],
        ["Fourier features, mapping computed once", NOT_AT_HAND, *_against(times["fair"], siren)],
        ["with the mapping in numpy each epoch", NOT_AT_HAND, *_against(times["mapping each epoch"], siren)],
        ["with a test set each epoch", NOT_AT_HAND, *_against(times["test set each epoch"], siren)],
        ["with both", "248.97 s", *_against(times["both"], siren)],
    ]
    y, x = found["slice"]
    return [
        f"{x} x {y} pixels of {found['pixel']:.4g} Å; {found['epochs']} epochs of Adam at {found['rate']:g}; width "
        f"{found['width']}, three hidden layers after the first; {found['features']} Fourier frequencies.",
        "",
        markdown_table(head, rows),
        "",
        f"![loss and FRC]({found['picture']})",
        "",
        f"{times['epochs']} epochs on the same pixels, seconds of processor time:",
        "",
        markdown_table(["network", "thesis", "here", "times SIREN"], timed),
        "",
        _quality(found),
        "",
        f"**Time.** With the mapping computed once, the Fourier-feature network takes {times['fair'] / siren:.2f} "
        "times SIREN's processor time here. Mapping, and evaluating a test set of the same size, in every epoch "
        f"make it {times['both'] / times['fair']:.1f} times slower than it need be. The network itself gives "
        "no factor like the printed one here: that one compares two programs.",
    ]


def _quality(found: dict[str, Any]) -> str:
    siren, *others = found["networks"]
    best = max(others, key=lambda n: n["mean_frc"])
    order = "better than" if siren["mean_frc"] > best["mean_frc"] else "no better than"
    y, x = found["slice"]
    many = "more" if siren["parameters"] > x * y else "fewer"
    return (
        f"**Quality.** After as many epochs the SIREN fits {order} the best of the others, {best['name']}: mean FRC "
        f"{siren['mean_frc']:.3f} against {best['mean_frc']:.3f}, one seed each. It has {siren['parameters']} "
        f"parameters, {many} than the slice has pixels ({x * y})."
    )


def _against(seconds: float, siren: float) -> list[str]:
    return [f"{seconds:.2f} s", f"{seconds / siren:.2f}"]


def angstrom(value: float | None) -> str:
    """A crossing in words."""
    return "never" if value is None else f"{value:.2f}"


def experiment_2(setup: Setup) -> dict[str, Any]:
    """SIRENs of slices across x, y and z: FRC, amplitude, and where the FRC crosses."""
    width, _, steps, side, rate = settings_2(setup)
    slices = []
    picture = setup.picture("2", 2)
    for axis in "xyz":
        truth, pixel = central_slice(setup, axis, side)
        torch.manual_seed(setup.seed)
        points, network = positions(truth.shape, corners=True), sine_network(2, width, 3, 30.0)
        done = train(network, points, truth.reshape(-1, 1), steps=steps, rate=rate)
        decoded = evaluate(network, points).reshape(truth.shape)
        found = measure(decoded, truth, pixel)
        grid = Grid((1, *truth.shape), (*pixel, min(pixel)))
        amplitude = [np.sqrt(power(v[None], grid)) for v in (truth, decoded)]
        slices.append({"axis": axis, "pixel": pixel[0], "seconds": done.seconds, **found})
        picture.axes[0].plot(found["frequency"][1:], found["frc"][1:], label=f"across {axis}")
        (line,) = picture.axes[1].semilogy(found["frequency"][1:], amplitude[0][1:], label=f"{axis}, slice")
        picture.axes[1].semilogy(
            found["frequency"][1:], amplitude[1][1:], "--", color=line.get_color(), label=f"{axis}, network"
        )
    picture.axes[0].set(xlabel="spatial frequency (1/Å)", ylabel="FRC")
    picture.axes[1].set(xlabel="spatial frequency (1/Å)", ylabel="rms Fourier amplitude")
    for each in picture.axes:
        each.legend(fontsize=7)
    return {
        "slice": list(truth.shape),
        "width": width,
        "parameters": parameters(network),
        "epochs": steps,
        "rate": rate,
        "slices": slices,
        "picture": picture.write(),
    }


def lead_2(runs: Runs) -> list[str]:
    """What holds for experiment 2 on every map."""
    return [
        'SIRENs of the central slices; FRC by `nmap.spectrum.frc`; a resolution in pixels is a period. "Never": '
        "the FRC "
        "stays above 0.5 to Nyquist. An axis that runs to the corner of the square and is labelled 0 to 0.5 per "
        "pixel "
        'prints sqrt(2) times the true resolution in two dimensions: "on a stretched axis" is what a figure would '
        "then "
        "read. Where the amplitude of the slice itself is next to nothing, a low FRC says nothing of the fit: the "
        "right panel shows where. The thesis's figures are not at hand.",
    ]


def lines_2(found: dict[str, Any]) -> list[str]:
    """Experiment 2 on one map, as Markdown."""
    rows = []
    for each in found["slices"]:
        at = each["crossing_0.5"]
        pixels = "never" if at is None else f"{at / each['pixel']:.2f}"
        stretched = "-" if at is None else f"{as_printed(at, 2):.2f}"
        values = [f"{each['mean_frc']:.3f}", f"{each['worst_frc']:.3f}", pixels, angstrom(at), stretched]
        rows.append([each["axis"], *values, f"{each['psnr']:.1f}"])
    head = ["across", "mean FRC", "worst FRC", "FRC 0.5, pixels", "FRC 0.5, Å", "on a stretched axis"]
    y, x = found["slice"]
    return [
        f"{x} x {y} pixels of {found['slices'][0]['pixel']:.4g} Å (Nyquist {2 * found['slices'][0]['pixel']:.3g} Å); "
        f"SIREN of {found['parameters']} parameters, {found['epochs']} epochs of Adam at {found['rate']:g}.",
        "",
        markdown_table([*head, "PSNR dB"], rows),
        "",
        f"![FRC and amplitude]({found['picture']})",
    ]
