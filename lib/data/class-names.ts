/** Class names of the data sets that bring none of their own, in the order of their mask values. */

/** PASCAL VOC as the reference names it: table, plant and monitor are what people write in captions. */
export const VOC_REFERENCE =
  'background aeroplane bicycle bird boat bottle bus car cat chair cow table dog horse motorbike person plant sheep sofa train monitor'.split(
    ' ',
  )

/** The same as PASCAL VOC names it. */
export const VOC_ORIGINAL = VOC_REFERENCE.map(
  (name) => ({ table: 'diningtable', plant: 'pottedplant', monitor: 'tvmonitor' })[name] ?? name,
)

/** PASCAL Context with its 59 most frequent classes. */
export const CONTEXT =
  'background aeroplane bag bed bedclothes bench bicycle bird boat book bottle building bus cabinet car cat ceiling chair cloth computer cow cup curtain dog door fence floor flower food grass ground horse keyboard light motorbike mountain mouse person plate platform pottedplant road rock sheep shelves sidewalk sign sky snow sofa table track train tree truck tvmonitor wall water window wood'.split(
    ' ',
  )

/** COCO's 80 things over background. */
export const COCO_OBJECT =
  'background,person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,stop sign,parking meter,bench,bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,backpack,umbrella,handbag,tie,suitcase,frisbee,skis,snowboard,sports ball,kite,baseball bat,baseball glove,skateboard,surfboard,tennis racket,bottle,wine glass,cup,fork,knife,spoon,bowl,banana,apple,sandwich,orange,broccoli,carrot,hot dog,pizza,donut,cake,chair,couch,potted plant,bed,dining table,toilet,tv,laptop,mouse,remote,keyboard,cell phone,microwave,oven,toaster,sink,refrigerator,book,clock,vase,scissors,teddy bear,hair drier,toothbrush'.split(
    ',',
  )

/** COCO-Stuff's 91 classes of stuff, categories 92 to 182, as people say them (`wall-other` is wall). */
const COCO_STUFF_ONLY =
  'banner,blanket,branch,bridge,building,bush,cabinet,cage,cardboard,carpet,ceiling,ceiling tile,cloth,clothes,clouds,counter,cupboard,curtain,desk,dirt,door,fence,marble floor,floor,stone floor,tile floor,wood floor,flower,fog,food,fruit,furniture,grass,gravel,ground,hill,house,leaves,light,mat,metal,mirror,moss,mountain,mud,napkin,net,paper,pavement,pillow,plant,plastic,platform,playing field,railing,railroad,river,road,rock,roof,rug,salad,sand,sea,shelf,sky,skyscraper,snow,solid,stairs,stone,straw,structure,table,tent,textile,towel,tree,vegetable,brick wall,concrete wall,wall,wall panel,stone wall,tile wall,wood wall,water,waterdrops,window blind,window,wood'.split(
    ',',
  )

/** COCO-Stuff: 80 things and 91 kinds of stuff, no background. */
export const COCO_STUFF = [...COCO_OBJECT.slice(1), ...COCO_STUFF_ONLY]

/** Ids of COCO's categories between 1 and 90 that do not exist. */
const COCO_GAPS = [12, 26, 29, 30, 45, 66, 68, 69, 71, 83]

/**
 * From a value of COCO-Stuff's pixel maps (category id − 1, 255 unlabelled) to an index of COCO_OBJECT: stuff, the ids
 * above 90, becomes background as in the reference; 255 stays.
 */
export const COCO_STUFF_TO_OBJECT: Uint8Array = (() => {
  const table = new Uint8Array(256)
  table[255] = 255
  let index = 0
  for (let id = 1; id <= 90; id++) if (!COCO_GAPS.includes(id)) table[id - 1] = ++index
  return table
})()

/** From a value of COCO-Stuff's pixel maps to an index of COCO_STUFF; 255 and ids that do not exist are ignored. */
export const COCO_STUFF_REMAP: Uint8Array = (() => {
  const table = new Uint8Array(256).fill(255)
  let index = 0
  for (let id = 1; id <= 182; id++) if (!COCO_GAPS.includes(id) && id !== 91) table[id - 1] = index++
  return table
})()
