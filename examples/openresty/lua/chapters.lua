--- Chapters of a textbook, on request: what `POST /jobs` starts. Knows what a client may ask
--- for and how a chapter is begun; must not know HTTP beyond the request that it is given.
---
---   {"text": "..."}                  a chapter of this text
---   {"source": "shared_memory.md"}   of a text that is here; no body means this one
---
--- Loaded in nginx's master (init_by_lua): the texts are read there, as its workers may not
--- be able to. A client names one of them and never a file.

local lfs = require "lfs"
local job_pipeline = require "job_tracker.pipeline"
local reader = require "textbook.reader"
local textbook_pipeline = require "textbook.pipeline"

local chapters = {}

local EXAMPLES = ngx.config.prefix() .. "../"
local TEXTS = EXAMPLES .. "textbook"
-- The workers write here, and `location /chapters/` shows it.
local OUT, ADDRESS = EXAMPLES .. "../build/openresty/chapters", "/chapters"
local DEFAULT = "shared_memory.md"
-- A chapter takes no time; it dwells on each step, so that there is something to watch.
local PACE = assert(tonumber(os.getenv "CHAPTER_PACE" or 0.6), "CHAPTER_PACE: no number of seconds")

-- What waits holds its text in memory.
job_pipeline.configure { runners = 2, queue = 20 }

local function read_texts()
  local texts = {}
  for name in lfs.dir(TEXTS) do
    if name:find("%.md$") then texts[name] = assert(reader.read(TEXTS .. "/" .. name)) end
  end
  return texts
end

local texts = read_texts()

local function log_fault(failure)
  if failure.traceback then ngx.log(ngx.ERR, "chapters: ", failure.traceback) end
end

-- Made when it is first needed: setup, which names 'start', says where the jobs are.
local pipeline

local function the_pipeline()
  pipeline = pipeline or textbook_pipeline.new { pace = PACE, on_error = log_fault,
    tracker = require("resty.job_tracker").tracker() }
  return pipeline
end

-- The text that is asked for, and what it is called; or nil and why there is none.
local function text_of(json)
  if json == nil then return texts[DEFAULT], DEFAULT end
  local wish = type(json) == "table" and json or {}
  if type(wish.text) == "string" and wish.source == nil then
    local objection = reader.objection(wish.text)
    if objection then return nil, "The text cannot be used: " .. objection .. "." end
    return wish.text, "posted text"
  elseif type(wish.source) == "string" and wish.text == nil then
    local text = texts[wish.source]
    if not text then return nil, "There is no source of that name." end
    return text, wish.source
  end
  return nil, "The body must be an object with either text or source, a string.", 400
end

---For setup's on_create: starts a chapter and returns its job's id.
---@param request resty.job_tracker.Request
---@return string? task_id
---@return string? message
---@return any code
function chapters.start(request)
  local text, name, status = text_of(request.json)
  if not text then return nil, name, status end
  return the_pipeline():start { path = name, text = text, out = OUT, own_folder = true,
                                address = ADDRESS }
end

return chapters
