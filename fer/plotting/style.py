from matplotlib.axes import Axes

TEXT_COLOUR = "#7c8594"  # a grey that is read on white and on black, as pictures cannot follow the page's theme
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe and Ito's, for the colour-blind
GAP = 255  # grey of the gaps between tiles


def style_axes(axes: Axes) -> None:
    """Legend, ticks and labels in the grey that suits light and dark; no frame."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, labelcolor=TEXT_COLOUR)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(TEXT_COLOUR)
    axes.tick_params(colors=TEXT_COLOUR)
    axes.xaxis.label.set_color(TEXT_COLOUR)
    axes.yaxis.label.set_color(TEXT_COLOUR)
