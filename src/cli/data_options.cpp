#include "cli/data_options.h"

#include <map>

#include "cli/console.h"
#include "cli/verbs.h"

namespace sotto::cli {

void add_data_options(CLI::App& verb, DataOptions& o, bool required) {
  auto* data = verb.add_option("--data", o.data,
                               "cifar10:DIR, cifar100:DIR, mnist:DIR (test images), cifar10-train:DIR and so on, "
                               "FILE.npy or FILE.npz, or PNG and JPEG files or folders of them")
                   ->expected(1, -1);
  if (required) data->required();
  verb.add_option("--start", o.start, "Number of the first image (default 0)")->check(image_number());
  verb.add_option("--count", o.count, "How many images (default: all)")->check(image_number());
  add_reading_options(verb, o.reading, data);
}

void add_reading_options(CLI::App& verb, ReadingOptions& o, CLI::Option* images) {
  using images::ArrayLayout, images::Fit;
  static const std::map<std::string, Fit> fits = {{"stretch", Fit::stretch}, {"crop", Fit::crop}};
  auto* resize = verb.add_option("--resize", o.resize,
                                 "Scale images to the network's size: stretch (all of an image, its shape changes) or "
                                 "crop (the largest middle part of the right shape)")
                     ->transform(CLI::CheckedTransformer(fits))
                     ->type_name("stretch|crop")
                     ->needs(images);
  verb.add_flag("--crop", o.crop, "Cut the middle out of larger images, without scaling")
      ->excludes(resize)
      ->needs(images);
  static const std::map<std::string, ArrayLayout> layouts = {{"nchw", ArrayLayout::nchw}, {"nhwc", ArrayLayout::nhwc}};
  verb.add_option("--layout", o.layout, "Order of the axes of an array: nchw (default) or nhwc")
      ->transform(CLI::CheckedTransformer(layouts))
      ->type_name("nchw|nhwc")
      ->needs(images);
}

std::vector<images::Image> load_images(const DataOptions& o, const plan::Interface& io,
                                       std::optional<std::size_t> count, images::TrueLabels labels) {
  return images::load_images(o.data, io, o.start, count,
                             {o.reading.fit(), o.reading.layout, labels, print_note, check_stop});
}

}  // namespace sotto::cli
