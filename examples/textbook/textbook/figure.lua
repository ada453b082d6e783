-- figure: draws the structure of a chapter as an SVG picture: its sections in
-- order along a line, each with its subheadings, its terms, and how much of the
-- text was kept. It reads in light and dark, and aloud (title and desc). It
-- knows sizes and colours, and nothing of how the chapter came about.

local unicode = require "textbook.unicode"

local figure = {}

local WIDTH, MARGIN = 920, 32
local SPINE = 60                   -- where the line runs
local CARD = 100                   -- where cards begin
local GAUGE, GAUGE_WIDTH = 680, 176  -- the column of bars
local TEXT_WIDTH = GAUGE - CARD - 52
local BOLD = 1.18                  -- how much wider bold letters are
local CHIP = 24                    -- the space beside a label's text, both sides

-- Eight colours for the sections, in light and in dark.
local HUES = {
  { "#3b5bdb", "#91a7ff" }, { "#0b7285", "#66d9e8" }, { "#2b8a3e", "#8ce99a" },
  { "#866204", "#ffd43b" }, { "#c2410c", "#ffa94d" }, { "#c2255c", "#faa2c1" },
  { "#862e9c", "#e599f7" }, { "#5f3dc4", "#b197fc" },
}

local function style()
  local lines = {
    "text { font-family: system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue',",
    "       Arial, 'Noto Sans', sans-serif; fill: #1c2230; }",
    ".page { fill: #f6f7f9; } .card { fill: #ffffff; stroke: #d9dee7; }",
    ".spine { stroke: #c3cad6; } .rail { fill: #e8ebf0; }",
    ".soft, .chip text { fill: #566072; } .chip rect { fill: #eef1f6; }",
    ".number { fill: #ffffff; }",
  }
  local dark = {
    "  text { fill: #e7ebf2; }",
    "  .page { fill: #12161d; } .card { fill: #1b212b; stroke: #323b49; }",
    "  .spine { stroke: #3d4757; } .rail { fill: #2b3340; }",
    "  .soft, .chip text { fill: #a9b4c5; } .chip rect { fill: #28303c; }",
    "  .number { fill: #12161d; }",
  }
  for index, hue in ipairs(HUES) do
    lines[#lines + 1] = (".hue%d { fill: %s; }"):format(index, hue[1])
    dark[#dark + 1] = ("  .hue%d { fill: %s; }"):format(index, hue[2])
  end
  return table.concat(lines, "\n") .. "\n@media (prefers-color-scheme: dark) {\n"
         .. table.concat(dark, "\n") .. "\n}"
end

local ESCAPES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;" }

local function escaped(text)
  return (text:gsub("[%c]", " "):gsub('[&<>"]', ESCAPES))
end

-- The text in at most 'most' lines of that width; what is left over is cut off
-- with an ellipsis.
local function wrapped(text, size, width, most)
  local lines, line = {}, ""
  local function fits(candidate) return unicode.drawn_width(candidate, size) <= width end
  local function cut(candidate)
    local characters = {}
    for character in candidate:gmatch(unicode.CHARACTER) do
      if not fits(table.concat(characters) .. character .. "…") then break end
      characters[#characters + 1] = character
    end
    return (table.concat(characters):gsub("%s+$", ""):gsub(" ·$", "")) .. "…"
  end
  for word in unicode.shortened(text, 400):gmatch("%S+") do
    local candidate = line == "" and word or line .. " " .. word
    if fits(candidate) then
      line = candidate
    elseif #lines + 1 == most then
      lines[most] = cut(candidate)
      return lines
    else
      if line ~= "" then lines[#lines + 1] = line end
      line = fits(word) and word or cut(word)
    end
  end
  lines[#lines + 1] = line ~= "" and line or nil
  return lines
end

local function text_at(x, y, size, content, attributes)
  return ('<text x="%g" y="%g" font-size="%g"%s>%s</text>'):format(x, y, size,
    attributes or "", escaped(content))
end

-- Terms as rounded labels in one row; those that do not fit are counted.
local function chips(terms, x, y, width)
  local parts, at = {}, x
  local function chip(label)
    local size = unicode.drawn_width(label, 12) + CHIP
    parts[#parts + 1] = ('<g class="chip"><rect x="%g" y="%g" width="%g" height="22" '
      .. 'rx="11"/>%s</g>'):format(at, y, size,
        text_at(at + size / 2, y + 15, 12, label, ' text-anchor="middle"'))
    at = at + size + 6
  end
  for index, term in ipairs(terms) do
    local label = unicode.shortened(term, 28)
    local rest = #terms - index
    local needed = unicode.drawn_width(label, 12) + CHIP + (rest > 0 and 54 or 0)
    if at + needed > x + width then
      chip("+" .. rest + 1)
      break
    end
    chip(label)
  end
  return parts
end

-- How many of the section's words were kept, as a bar whose length compares
-- with the other sections'.
local function gauge(section, largest, hue, y)
  local length = math.max(6, GAUGE_WIDTH * section.source_words / math.max(1, largest))
  local share = math.min(1, section.words / math.max(1, section.source_words))
  return {
    ('<rect class="rail" x="%g" y="%g" width="%.1f" height="10" rx="5"/>'):format(
      GAUGE, y, length),
    ('<rect class="hue%d" x="%g" y="%g" width="%.1f" height="10" rx="5"/>'):format(
      hue, GAUGE, y, math.max(6, length * share)),
    text_at(GAUGE, y + 28, 12, section.label, ' class="soft"'),
  }
end

local function measured(section)
  local row = { title = wrapped(section.title, 18 * BOLD, TEXT_WIDTH, 2) }
  local subheadings = table.concat(section.subheadings, " · ")
  row.subheadings = wrapped(subheadings, 13, TEXT_WIDTH, 2)
  local chips_height = #section.terms > 0 and 32 or 0
  row.height = 26 + #row.title * 23 + #row.subheadings * 19 + chips_height
  row.height = math.max(row.height, 76)
  return row
end

local function card(section, row, largest, y)
  local hue = (section.number - 1) % #HUES + 1
  local parts = {
    ('<g role="listitem" aria-label="%s">'):format(escaped(
      ("Section %d: %s"):format(section.number, section.title))),
    ('<rect class="card" x="%g" y="%g" width="%g" height="%g" rx="12"/>'):format(
      CARD, y, WIDTH - MARGIN - CARD, row.height),
    ('<rect class="hue%d" x="%g" y="%g" width="5" height="%g" rx="2.5"/>'):format(
      hue, CARD + 10, y + 14, row.height - 28),
    ('<circle class="hue%d" cx="%g" cy="%g" r="18"/>'):format(hue, SPINE, y + 38),
    text_at(SPINE, y + 44, 17, tostring(section.number),
      ' class="number" text-anchor="middle" font-weight="700"'),
  }
  local function add(more) for _, part in ipairs(more) do parts[#parts + 1] = part end end
  local line = y + 33
  for _, text in ipairs(row.title) do
    parts[#parts + 1] = text_at(CARD + 28, line, 18, text, ' font-weight="600"')
    line = line + 23
  end
  for _, text in ipairs(row.subheadings) do
    parts[#parts + 1] = text_at(CARD + 28, line - 1, 13, text, ' class="soft"')
    line = line + 19
  end
  add(chips(section.terms, CARD + 28, line - 9, TEXT_WIDTH))
  add(gauge(section, largest, hue, y + row.height / 2 - 18))
  parts[#parts + 1] = "</g>"
  return table.concat(parts, "\n")
end

---@class textbook.FigureSection
---@field number integer
---@field title string
---@field subheadings string[]
---@field terms string[]
---@field words integer
---@field source_words integer
---@field label string the two numbers, for people

---What the figure shows, in words: its desc, and the text for who cannot see it.
---@param title string
---@param sections textbook.FigureSection[]
---@return string
function figure.description(title, sections)
  local names = {}
  for index, section in ipairs(sections) do
    names[index] = section.number .. ", " .. section.title
  end
  return ("The structure of “%s”: %d sections. %s."):format(title, #sections,
                                                         table.concat(names, "; "))
end

---The figure of a chapter.
---@param book { title: string, sections: textbook.FigureSection[], summary: string }
---@return string svg
function figure.draw(book)
  local heading = wrapped(book.title, 26 * BOLD, WIDTH - 2 * MARGIN, 2)
  local top = MARGIN + #heading * 32 + 40
  local body, largest, y = {}, 0, top
  for _, section in ipairs(book.sections) do
    largest = math.max(largest, section.source_words)
  end
  local first, last
  for _, section in ipairs(book.sections) do
    local row = measured(section)
    body[#body + 1] = card(section, row, largest, y)
    first, last = first or y + 38, y + 38
    y = y + row.height + 14
  end
  local height = y - 14 + MARGIN
  local parts = {
    ('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" '
     .. 'role="img" aria-labelledby="figure-title figure-desc">'):format(
       WIDTH, height, WIDTH, height),
    '<title id="figure-title">' .. escaped(book.title) .. "</title>",
    '<desc id="figure-desc">' .. escaped(figure.description(book.title, book.sections))
      .. "</desc>",
    "<style>\n" .. style() .. "\n</style>",
    ('<rect class="page" width="%d" height="%d" rx="16"/>'):format(WIDTH, height),
  }
  for index, text in ipairs(heading) do
    parts[#parts + 1] = text_at(MARGIN, MARGIN + index * 32 - 8, 26, text,
                                ' font-weight="700"')
  end
  parts[#parts + 1] = text_at(MARGIN, MARGIN + #heading * 32 + 14, 14, book.summary,
                              ' class="soft"')
  parts[#parts + 1] = ('<line class="spine" x1="%d" y1="%g" x2="%d" y2="%g" '
    .. 'stroke-width="3"/>'):format(SPINE, first, SPINE, last)
  parts[#parts + 1] = '<g role="list">\n' .. table.concat(body, "\n") .. "\n</g>"
  parts[#parts + 1] = "</svg>"
  return table.concat(parts, "\n") .. "\n"
end

return figure
