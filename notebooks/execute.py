"""Runs the cells of a notebook from top to bottom and writes it with their outputs: execute.py NOTEBOOK TARGET."""

import copy
import os
import queue
import sys

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionComplete, CellExecutionError
from nbclient.util import ensure_async


class DenoClient(NotebookClient):
    """Deno's kernel (2.9) now and then says that it is idle before it sends the value of the cell; nbclient would lose it."""

    async def async_execute_cell(self, cell, cell_index, **options):
        cell = await super().async_execute_cell(cell, cell_index, **options)
        while cell.cell_type == "code" and not cell.outputs:
            try:
                message = await ensure_async(self.kc.iopub_channel.get_msg(timeout=2))
                self.process_message(message, cell, cell_index)
            except CellExecutionComplete:
                pass
            except queue.Empty:
                break
        return cell


source, target = sys.argv[1:]
notebook = nbformat.read(source, as_version=4)
metadata = copy.deepcopy(notebook.metadata)  # nbclient adds the versions of the kernel that happened to run it
try:
    DenoClient(
        notebook,
        timeout=300,
        kernel_name="deno",
        record_timing=False,
        resources={"metadata": {"path": os.path.dirname(os.path.abspath(source))}},
    ).execute()
except CellExecutionError as error:
    sys.exit(str(error))
notebook.metadata = metadata
nbformat.write(notebook, target)
