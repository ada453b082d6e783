-- main: the command line of the textbook pipeline. It opens the store, runs the
-- pipeline as a job of it, shows a person how it goes, and says by its exit code
-- how it ended. Run it from anywhere: lua5.4 examples/textbook/main.lua --help

local folder = arg[0]:match("^(.*)/[^/]*$") or "."
package.path = folder .. "/?.lua;" .. package.path
-- Inside the project the module that `make` has built will do; an installed one,
-- or one that LUA_PATH and LUA_CPATH name, comes first.
local abi = jit and "luajit" or "5.4"
package.path = ("%s;%s/../../src/?.lua"):format(package.path, folder)
package.cpath = ("%s;%s/../../build/%s/?.so"):format(package.cpath, folder, abi)

local files = require "textbook.files"
local options = require "textbook.options"

local EXIT = { done = 0, failed = 1, usage = 2, store = 3, interrupted = 130 }

local function leave(code, message)
  if message then io.stderr:write("textbook: ", message, "\n") end
  os.exit(code, true)
end

local function open_tracker(path)
  local found, module = pcall(require, "job_tracker")
  if not found then
    return nil, "the module job_tracker is missing (run make, or install it):\n" .. module
  end
  local made, message = files.make_folder(files.folder_of(path))
  if not made then return nil, message end
  -- Whoever runs nginx-readonly.conf: its workers may be nobody, and are to show the job.
  return module.JobTracker.open(path, { mode = "0644" })
end

local function show(progress, step)
  print(("[%3.0f%%] %s"):format(progress * 100, step))
end

-- What was returned with a message is told below; what was raised is a fault of the program.
local function show_fault(failure)
  if failure.traceback then io.stderr:write(failure.traceback, "\n") end
end

local chosen, complaint = options.read(arg, folder .. "/shared_memory.md")
if not chosen then leave(EXIT.usage, complaint .. " (--help explains)") end
if chosen.help then
  io.stdout:write(options.HELP)
  leave(EXIT.done)
end

-- A pipe is read by somebody who waits for the line, as a terminal is.
io.stdout:setvbuf("line")

local tracker, trouble = open_tracker(chosen.store)
if not tracker then leave(EXIT.store, trouble) end
local id, refusal = tracker.create_job("textbook")
if not id then leave(EXIT.store, ("%s: %s"):format(chosen.store, refusal)) end
print(chosen.quiet and id or ("job %s in %s"):format(id, chosen.store))

local pipeline = require "textbook.pipeline"
local textbook = pipeline.new { tracker = tracker, pace = chosen.pace, on_error = show_fault,
                                on_report = not chosen.quiet and show or nil }
local path = chosen.path == "-" and "-" or files.absolute(chosen.path)
local result, message, code = textbook:run({ path = path, out = files.absolute(chosen.out) },
                                           { task_id = id })
if not result then
  leave(code == "interrupted" and EXIT.interrupted or EXIT.failed, message)
end
if not chosen.quiet then
  show(1, "Completed") -- which the job says, too
  print(pipeline.summary(result))
end
leave(EXIT.done)
