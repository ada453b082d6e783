-- A busted output handler: prints what failed and what was skipped, each with
-- its place in a form that editors follow (file:line: message), and closes
-- with "N passed, N failed, N skipped" on a line of its own. It knows nothing
-- of what is tested. Use: busted -o closing_line

local pretty = require "pl.pretty"

---What a failure carries: a string, nil, or any value that was thrown.
local function text_of(message)
  if type(message) == "string" then
    return message
  end
  return message == nil and "(no message)" or pretty.write(message)
end

local function place_of(entry)
  local trace = entry.element.trace or entry.trace
  if trace and trace.short_src then
    return ("%s:%d"):format(trace.short_src, trace.currentline)
  end
  return entry.name or "?"
end

local function indent(text)
  return "  " .. text:gsub("\n", "\n  ")
end

local function print_failure(label, entry)
  print(("\n%s: %s: %s"):format(place_of(entry), label, entry.name or "?"))
  print(indent(text_of(entry.message)))
  local traceback = entry.trace and entry.trace.traceback
  if traceback and traceback:find("%S") then
    print(indent(traceback:gsub("^\n", ""):gsub("%s+$", "")))
  end
end

local function print_skipped(entry)
  local why = entry.message and ": " .. text_of(entry.message) or ""
  print(("%s: skipped: %s%s"):format(place_of(entry), entry.name or "?", why))
end

---Under AddressSanitizer: whether the specs lost memory that nothing in this
---process points to any more. Asked here, while the Lua state still lives,
---because at exit every child process and tool would be asked as well.
local function leaked()
  local found, process = pcall(require, "process")
  if not found then
    return false
  end
  collectgarbage()
  collectgarbage()
  return process.leaked()
end

return function()
  local busted = require "busted"
  local handler = require "busted.outputHandlers.base"()

  function handler.suite_end()
    for _, entry in ipairs(handler.pendings) do
      print_skipped(entry)
    end
    for _, entry in ipairs(handler.failures) do
      print_failure("failed", entry)
    end
    for _, entry in ipairs(handler.errors) do
      print_failure("error", entry)
    end
    local failed = handler.failuresCount + handler.errorsCount
    if leaked() then
      print("\nmemory leaked: AddressSanitizer's report says where")
      failed = failed + 1
    end
    print(("%d passed, %d failed, %d skipped"):format(
      handler.successesCount, failed, handler.pendingsCount))
    io.stdout:flush()
    return nil, true
  end

  -- If the process dies or hangs, the last such line says in which test.
  function handler.test_start(element)
    print("running: " .. handler.getFullName(element))
    io.stdout:flush()
    return nil, true
  end

  busted.subscribe({ "test", "start" }, handler.test_start)
  busted.subscribe({ "suite", "end" }, handler.suite_end)
  return handler
end
