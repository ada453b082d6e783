-- options: the words of the command line. It prints nothing and ends nothing.

local options = {}

options.HELP = [[
usage: lua5.4 main.lua [--store FILE] [--out DIR] [--pace SECONDS] [--quiet] [TEXT]

Turns a text (Markdown or plain text, UTF-8, some thousand words) into a chapter of a
textbook, DIR/chapter.md with DIR/figure.svg, and reports each step to a job in a
job_tracker store.

  TEXT            the text; "-" is the standard input; without it, one about shared
                  memory that comes with the example
  --store FILE    the store the job is reported to, made if need be (DIR/jobs.store)
  --out DIR       where the chapter goes (build/textbook)
  --pace SECONDS  pause that long after each report, so that one can watch (0)
  --quiet         print the job's id and nothing else
  --help          print this

Exit codes: 0 the chapter is there, 1 the job failed (the message is on standard error
and in the job), 2 a wrong command line, 3 the store cannot be used, 130 interrupted.
]]

---@class textbook.Options
---@field path string
---@field out string
---@field store string
---@field pace number
---@field quiet boolean
---@field help boolean

local function read_number(text)
  local number = tonumber(text)
  if not number or number ~= number or number < 0 or number > 3600 then return nil end
  return number
end

-- Options with a value: what they set, and how their text is read.
local VALUES = {
  ["--store"] = { "store" }, ["--out"] = { "out" },
  ["--pace"] = { "pace", read_number, "a number of seconds from 0 to 3600" },
}

local function set_value(found, name, text)
  local key, read, rule = VALUES[name][1], VALUES[name][2], VALUES[name][3]
  if not text or text == "" then return nil, name .. " needs a value" end
  local value = text
  if read then value = read(text) end
  if value == nil then return nil, ("%s must be %s, got %q"):format(name, rule, text) end
  found[key] = value
  return true
end

---The options in the words of a command line, or nil and what is wrong with it.
---@param words string[]
---@param default_text string
---@return textbook.Options?
---@return string? message
function options.read(words, default_text)
  local found = { out = "build/textbook", pace = 0, quiet = false, help = false }
  local index, only_texts = 1, false
  while words[index] do
    local word = words[index]
    local name, value = word:match("^(%-%-[%w-]+)=(.*)$")
    name = name or word
    if not only_texts and VALUES[name] then
      if not value then
        index = index + 1
        value = words[index]
      end
      local set, message = set_value(found, name, value)
      if not set then return nil, message end
    elseif not only_texts and (word == "--quiet" or word == "--help" or word == "-h") then
      found[word == "--quiet" and "quiet" or "help"] = true
    elseif not only_texts and word == "--" then
      only_texts = true
    elseif not only_texts and word:find("^%-.") then
      return nil, "unknown option " .. word
    elseif found.path then
      return nil, "one text at a time, got " .. found.path .. " and " .. word
    else
      found.path = word
    end
    index = index + 1
  end
  found.path = found.path or default_text
  found.out = found.out:find("[^/]") and found.out:gsub("/+$", "") or found.out
  found.store = found.store or found.out .. "/jobs.store"
  return found
end

return options
