-- reader: from a path to a text that the other rooms can trust: read, not
-- empty, UTF-8, without a byte order mark, carriage returns, control characters
-- and front matter. It knows no Markdown beyond that, and reports nothing.

local unicode = require "textbook.unicode"

local reader = {}

-- More than any book; a bound, so that reading /dev/zero comes to an end.
reader.MAX_BYTES = 64 * 1024 * 1024

local CHUNK = 1024 * 1024

---The bytes of a file, or nil and why not. "-" is the standard input.
---@param path string
---@return string? bytes
---@return string? message
function reader.read(path)
  local file, message = io.stdin, ""
  if path ~= "-" then file, message = io.open(path, "rb") end
  if not file then return nil, "cannot read " .. message end
  local chunks, size = {}, 0
  repeat
    local chunk, read_message = file:read(CHUNK)
    if read_message then
      file:close()
      return nil, ("cannot read %s: %s"):format(path, read_message)
    end
    chunks[#chunks + 1] = chunk
    size = size + #(chunk or "")
  until not chunk or size > reader.MAX_BYTES
  if path ~= "-" then file:close() end
  if size > reader.MAX_BYTES then
    return nil, ("%s is larger than %d MiB"):format(path, reader.MAX_BYTES / 1024 / 1024)
  end
  return table.concat(chunks)
end

local function line_of(bytes, position)
  local _, breaks = bytes:sub(1, position - 1):gsub("\n", "")
  return breaks + 1
end

---Why the bytes are not a text, or nil if they are.
---@param bytes string
---@return string?
function reader.objection(bytes)
  if not bytes:find("%S") or bytes:find("^\239\187\191%s*$") then return "it is empty" end
  if bytes:find("^\255\254") or bytes:find("^\254\255") then
    return "it is UTF-16, not UTF-8 (convert it with iconv -f UTF-16 -t UTF-8)"
  end
  local zero = bytes:find("\0", 1, true)
  if zero then return ("it is binary, not text: a NUL at byte %d"):format(zero) end
  local invalid = unicode.invalid_at(bytes)
  if invalid then
    return ("it is not UTF-8 text: byte %d, in line %d, is 0x%02X"):format(
      invalid, line_of(bytes, invalid), bytes:byte(invalid))
  end
end

-- "title: ..." of a block of YAML or TOML between --- or +++ lines. A text that
-- merely starts with a rule has no "key:" in its second line.
local function without_front_matter(text)
  local fence = text:match("^(%-%-%-)[ \t]*\n[%w_-]+%s*:") or
                text:match("^(%+%+%+)[ \t]*\n%s*[%w_-]+%s*=")
  if not fence then return text end
  local first, last = text:find("\n" .. fence:gsub("%p", "%%%0") .. "[ \t]*\n", 4)
  if not first then return text end
  local matter = text:sub(1, first)
  local title = matter:match("\ntitle%s*[:=]%s*([^\n]+)")
  if title then
    title = title:gsub("%s+$", ""):gsub("^([\"'])(.*)%1$", "%2")
  end
  return text:sub(last + 1), title ~= "" and title or nil
end

-- The licence around the books of Project Gutenberg is not part of the book.
local function without_licence(text)
  local _, first = text:find("\n?%*%*%* ?START OF TH[^\n]*%*%*%*[^\n]*\n")
  local last = first and text:find("\n%*%*%* ?END OF TH[^\n]*%*%*%*", first)
  return last and text:sub(first + 1, last) or text
end

---The text in the bytes, with line feeds alone ending lines, and the title its
---front matter gives. The bytes must be a text (see objection).
---@param bytes string
---@return string text
---@return string? title
function reader.clean(bytes)
  local text = bytes:gsub("^\239\187\191", "")
  if text:find("\r", 1, true) then text = text:gsub("\r\n?", "\n") end
  if text:find("[\1-\8\11\12\14-\31\127]") then
    text = text:gsub("\f", "\n\n"):gsub("[\1-\8\11\14-\31\127]", "")
  end
  if text:sub(-1) ~= "\n" then text = text .. "\n" end
  return without_front_matter(without_licence(text))
end

return reader
